"""Methods side by side: a grid of runs, one subprocess each, and a report read from their files.

Nothing here imports torch: a crash or a leak ends one run, not the study.
"""
