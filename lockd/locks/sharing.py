"""Which file systems other hosts may share. A name on such a file system cannot be trusted.

lockcfg tells which file system a directory is on. This module remembers the answer, by the number
of the device, until something is mounted or unmounted.
"""

from __future__ import annotations

import os

from lockcfg import ReadError, storage_of
from lockd.kernel.reserve import insist

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockcfg import Storage

#: File systems whose names other hosts may share even if they do not share the locks: whether they
#: do depends on how this host has mounted them.
_NETWORK: Final = ("nfs", "cifs", "smb3", "ocfs2")


class Sharing:
    """What is known of the file systems that lock files are on."""

    def __init__(self) -> None:
        self._shared: Final[dict[int, bool]] = {}
        # The kernel reports a change of the mounts as a condition of this file (proc(5)).
        self.mounts: Final = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)

    def may_be_shared(self, device: int, path: str) -> bool:
        """Whether another host may use the file system ``device``, which ``path`` is on."""
        shared = self._shared.get(device)
        if shared is None:
            try:
                # Of the file itself: a disk may be a link that leads to another file system.
                storage = insist(lambda: storage_of(os.path.dirname(os.path.realpath(path))))
            except (ReadError, OSError):
                return True  # assume it, and ask again the next time
            shared = self._shared[device] = _has_other_hosts(storage)
        return shared

    def forget(self) -> None:
        """Something was mounted or unmounted: a number may belong to another file system now."""
        self._shared.clear()


def _has_other_hosts(storage: Storage) -> bool:
    if storage.shared != "no":
        return True
    return storage.mount is not None and storage.mount.type in _NETWORK
