"""The page of an evaluation: all scores, how they were measured, and pictures. For people."""
