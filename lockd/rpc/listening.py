"""The listening socket of a service."""

from __future__ import annotations

import errno
import os
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_BACKLOG: Final = 30


def bind(path: str) -> int:
    """Listen at ``path``, for this user alone, and return the descriptor. A socket file that an
    earlier process left there is replaced. Raises OSError, also if another process listens."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            if not probe.connect_ex(path):
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        listening.bind(path)
        os.chmod(path, 0o700)
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening.detach()
