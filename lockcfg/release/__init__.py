"""Freeing what a dead host still holds, and nothing else, by what the storage offers."""
