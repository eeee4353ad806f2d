"""From what is there to what is wanted: a first policy, and the order of changes."""
