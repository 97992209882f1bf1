"""Benchmarks: a grid of runs, one subprocess per run, and a report from the files of the runs.

Nothing here imports torch. A crash or a memory leak ends one run, not the benchmark.
"""
