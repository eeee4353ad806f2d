"""Whole processes, timed side by side: ``python -m benchmarks``."""
