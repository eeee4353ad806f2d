"""Linting a repository of configurations."""
