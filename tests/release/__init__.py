"""Freeing what a dead host holds."""
