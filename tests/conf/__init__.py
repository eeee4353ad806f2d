"""Reading, checking, changing and writing one file."""
