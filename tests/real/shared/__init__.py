"""Two hosts that share a file system, and lock daemons on them that fight for one resource."""
