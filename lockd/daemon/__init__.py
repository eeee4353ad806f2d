"""The daemon: the parts put together, and what it is told by its settings."""
