"""Tells whether a host lives, by the file that its lockd writes in each lockspace.

With ``lockd --heartbeat SECONDS``, lockd writes ``SPACE/.hosts/NAME`` again and again, always the
same number of bytes. The clock of the file system tells the age of a heartbeat, and not the clock
of either host. This host's own heartbeat in the same directory tells how far the two clocks are
apart.

A stale heartbeat shows only that nothing was written. The host may be off; or it may be cut off
from this file system alone, and continue to write to another one. So a stale heartbeat does not
permit you to start its guests.
"""

from __future__ import annotations

import json
import os
import stat
import time

from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, Literal

    #: live: written within three intervals. stale: not written within them. unknown: there is no
    #: heartbeat, or none that can be judged.
    Verdict = Literal["live", "stale", "unknown"]

#: Where the heartbeats are, in a lockspace.
DIRECTORY: Final = ".hosts"

#: The longest heartbeat that is read, in bytes.
_MOST: Final = 4096

#: After how many intervals a heartbeat is stale, and how many seconds a busy file server gets in
#: addition.
_INTERVALS: Final = 3
_GRACE: Final = 2.0

#: How many seconds a clock may be ahead before the age of a heartbeat counts as unknown.
_AHEAD: Final = 5.0


class Life(Frozen):
    """Whether a host lives: the ``verdict``, and the evidence for it in words. ``age`` is how many
    seconds ago it last wrote, None if unknown. It writes every ``interval`` seconds; ``boot`` is
    the id of its boot."""

    __slots__ = ("age", "boot", "host", "interval", "verdict", "why")

    def __init__(
        self,
        host: str,
        verdict: Verdict,
        why: str,
        age: float | None = None,
        boot: str = "",
        interval: float = 0.0,
    ) -> None:
        self.host: Final = host
        self.verdict: Final[Verdict] = verdict
        self.why: Final = why
        self.age: Final = age
        self.boot: Final = boot
        self.interval: Final = interval


def is_name(host: str) -> bool:
    """Whether the name of a host can be the name of a heartbeat."""
    return bool(host) and "/" not in host and "\0" not in host and not host.startswith(".")


def life_of(host: str, space: str, *, me: str, now: float | None = None) -> Life:
    """Whether a host lives, by its heartbeat in a lockspace; ``me`` is this host's name."""
    if not is_name(host):
        return Life(host, "unknown", "its name is not known")
    path = os.path.join(space, DIRECTORY, host)
    try:
        content, written = read(path)
        interval = float(content["interval"])
        if content["host"] != host or not 0 < interval < 1e6:
            raise ValueError
    except FileNotFoundError:
        why = f"it writes no heartbeat in {space}: 'lockd --heartbeat' would"
        return Life(host, "unknown", why)
    except OSError as error:
        return Life(host, "unknown", f"its heartbeat cannot be read: {error.strerror}")
    except (ValueError, KeyError, TypeError):
        return Life(host, "unknown", f"{path} is no heartbeat")
    here = time.time() if now is None else now
    ahead, by = _clock_of(space, me)
    age = here + ahead - written
    boot = str(content.get("boot", ""))
    if age < -_AHEAD:
        why = f"its heartbeat is {-age:.0f} s in the future by {by}: one of the clocks is wrong"
        return Life(host, "unknown", why, None, boot)
    age = max(0.0, age)
    told = f"its last heartbeat in {space} is {_ago(age)} old by {by}; it writes one every"
    why = f"{told} {interval:g} s"
    if age <= _INTERVALS * interval + _GRACE:
        return Life(host, "live", why, age, boot, interval)
    return Life(host, "stale", why, age, boot, interval)


def best_of(lives: list[Life], host: str) -> Life:
    """The conclusion from several lockspaces: one recent heartbeat is enough."""
    order = {"live": 0, "stale": 1, "unknown": 2}
    found = sorted(lives, key=lambda life: (order[life.verdict], life.age or 0.0))
    return found[0] if found else Life(host, "unknown", "it is unknown in which lockspace to look")


def read(path: str) -> tuple[dict[str, Any], float]:
    """A heartbeat, and the time of its last write by the file system's clock. Raises OSError,
    ValueError."""
    # When the file is opened, an NFS client asks the server.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("no file")
        data = os.read(fd, _MOST)
    finally:
        os.close(fd)
    content = json.loads(data)
    if not isinstance(content, dict):
        raise TypeError
    return content, status.st_mtime


def _clock_of(space: str, me: str) -> tuple[float, str]:
    """How far the clock of a file system is ahead of this host's, and the name of the clock that
    counts."""
    try:
        content, written = read(os.path.join(space, DIRECTORY, me))
        return written - float(content["time"]), "the file system's clock"
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0, "this host's clock"


def _ago(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
