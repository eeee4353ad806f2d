"""What one play consists of, and what is seen of it.

A play is a sequence of steps against a daemon that knows nothing of it yet. Paths are below
:func:`home`, which no two plays of one run share, and so are the pids of the processes that take
part: thus a daemon may serve many plays in turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Final

#: Where plays have their files; a file system of its own.
ROOT: Final = "/run/play"

#: What is below a play's home when it begins.
DIRECTORIES: Final = ("a", "folder", "folder/inner")
FILES: Final = ("disk0", "disk1", "plain", "a/old")
LINKS: Final = {"link": "disk0", "dangling": "nowhere"}

#: How many processes a play may have.
PROCESSES: Final = 3

# Above those of the daemon and of the player, below the smallest usual limit.
_FIRST_PID: Final = 1000
_PLAYS: Final = 9000

#: Pids that no process can have: they are above Linux's largest.
FOREIGN_PIDS: Final = (4194400, 4194401, 4194402)


def home(number: int) -> str:
    """The directory of the play of that number."""
    return f"{ROOT}/{number}"


def pid(number: int, process: int) -> int:
    """The pid of one of the play's processes."""
    return _FIRST_PID + number % _PLAYS * PROCESSES + process


class Open(NamedTuple):
    """A connection is made, by the process, or by the player itself where that is None."""

    connection: int
    process: int | None = None
    admin: bool = False


class Send(NamedTuple):
    """Bytes go out on a connection, piece by piece."""

    connection: int
    pieces: tuple[bytes, ...]

    @property
    def data(self) -> bytes:
        return b"".join(self.pieces)


class Close(NamedTuple):
    """A connection is closed; or only the half of it that the daemon reads."""

    connection: int
    half: bool = False


class Hold(NamedTuple):
    """Another process than the daemon locks the file, or releases it again."""

    path: str
    shared: bool = False
    release: bool = False


class Remove(NamedTuple):
    """Another process removes the file, and may make it again."""

    path: str
    replace: bool = False


Step = Open | Send | Close | Hold | Remove


class Play(NamedTuple):
    """A sequence of steps. ``processes`` take part besides the player; the daemon may end them.

    A ``fresh`` play needs a daemon that no other has been played against: virtlockd, if NEW ever
    failed, dies when it has to see to the locks of a process that is gone.
    """

    number: int
    processes: int
    steps: tuple[Step, ...]
    fresh: bool = False


#: Path, mode and size of every file.
Files = tuple[tuple[str, str, int], ...]


class Seen(NamedTuple):
    """What followed from one step.

    ``replies`` are the whole messages that came, by connection, and whatever else came after the
    last of them. ``ended`` are processes that died, with the signal. ``locks`` are path and kind
    of what the daemon holds on byte 0, as the kernel tells; a file that is no longer there has
    the path that it had.
    """

    replies: tuple[tuple[int, tuple[bytes, ...]], ...]
    closed: tuple[int, ...]
    ended: tuple[tuple[int, int], ...]
    files: Files
    locks: tuple[tuple[str, str], ...]


class Transcript(NamedTuple):
    """What was seen of every step, until the daemon died or hung: the ``trouble``.

    With that comes the end of the daemon's ``log``. ``left`` is what files there were some time
    later, when the daemon was idle.
    """

    seen: tuple[Seen, ...]
    trouble: str = ""
    log: str = ""
    left: Files = ()
