"""The fleet store, and what fills it from snapshots."""
