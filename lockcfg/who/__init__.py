"""Answers from any clue that a person has: who holds a lock, whether that host lives, what to
do."""
