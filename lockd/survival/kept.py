"""The names under which the keeper has descriptors, and the numbers that make them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Final

#: The names under which listening sockets are kept, by service: as systemd calls them, by
#: virtlockd's socket units.
LISTENING: Final = {"virtlockd": "virtlockd.socket", "admin": "virtlockd-admin.socket"}

#: The name of the PID file.
PID_FILE: Final = "pid-file"


class Numbers:
    """Numbers that give each kept descriptor a name of its own."""

    def __init__(self) -> None:
        self._next = 1
        self._free: Final[list[int]] = []

    def take(self) -> int:
        """A number that nothing has."""
        if self._free:
            return self._free.pop()
        self._next += 1
        return self._next - 1

    def give_back(self, number: int) -> None:
        """The number is free again."""
        self._free.append(number)

    def go_on_from(self, used: Collection[int]) -> None:
        """Take those numbers, which were given out by the process before this one."""
        self._next = max(used, default=0) + 1
        self._free.extend(set(range(1, self._next)).difference(used))


def lock_name(number: int) -> str:
    """The keeper's name for the descriptor of a lock."""
    return f"l{number:x}"


def client_name(number: int) -> str:
    """The keeper's name for the descriptor of a connection."""
    return f"c{number:x}"


def is_lock(name: str) -> bool:
    """Whether a name is that of a lock."""
    return name[:1] == "l" and name[1:].isalnum()


def is_client(name: str) -> bool:
    """Whether a name is that of a connection."""
    return name[:1] == "c" and name[1:].isalnum()


def is_journal(name: str) -> bool:
    """Whether a name is that of a journal."""
    return name[:1] == "j" and name[1:].isalnum()


def journal_name(number: int) -> str:
    """The keeper's name for the descriptor of a journal."""
    return f"j{number:x}"


def is_queue(name: str) -> bool:
    """Whether a name is that of a queue, whose descriptor is the keeper's own."""
    return name[:1] == "q" and name[1:].isalnum()


def queue_name(number: int) -> str:
    """The service manager's name for a queue."""
    return f"q{number:x}"


def queue_number(name: str) -> int:
    """The number in the name of a queue."""
    return int(name[1:], 16)
