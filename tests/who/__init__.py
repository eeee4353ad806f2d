"""Who holds a lock."""
