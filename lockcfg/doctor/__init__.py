"""Whether every disk of every guest that runs on this host is really locked."""
