"""Who holds a lock, whether that host lives, and what to do: from whatever a person has in hand."""
