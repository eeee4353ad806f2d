"""How long a change of the daemon may take, and whether its process still runs."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: How long the change may take, and how long to wait for calls in progress, in seconds.
PATIENCE: Final = 60.0
CALLS: Final = 10.0
LOOK: Final = 0.02


def runs(pid: int) -> bool:
    """Whether a process runs, and is not a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state = file.read().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in (b"Z", b"X")
