"""What the kernel does for a daemon: events, processes, locks on files, going into the background.

Nothing here knows what the daemon is for.
"""
