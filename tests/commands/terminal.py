"""A terminal, as the program that draws it sees it."""

from __future__ import annotations

import os


def shown_on(master: int) -> str:
    """Everything that is written to a terminal until the last process closes it; closes
    ``master``."""
    shown = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # the last one who had the other end open is gone
            break
        shown += piece
    os.close(master)
    return shown.decode()
