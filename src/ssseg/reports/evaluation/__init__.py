"""The page of one evaluated checkpoint."""
