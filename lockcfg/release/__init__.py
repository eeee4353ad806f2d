"""Frees what a dead host still holds, and nothing else, by the means that the storage offers."""
