"""A child process that runs beside the event loop, and what it printed."""

from __future__ import annotations

import os
from functools import partial
from select import EPOLLIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

    from lockd.kernel.loop import Loop

#: How much of its output is read, in bytes.
_MOST_SAID: Final = 4096


def run(
    loop: Loop,
    command: Sequence[str],
    then: Callable[[int, str], object],
    *,
    patience: float | None = None,
) -> None:
    """Start ``command``, and call ``then`` with its exit status and its output once it has ended.

    If the output is empty, ``then`` gets the exit status in words. A command that takes longer than
    ``patience`` seconds is killed. Raises OSError if the command cannot be started.
    """
    output = os.memfd_create("output")
    actions = [(os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)]
    try:
        # The thread that starts it may have signals blocked.
        pid = os.posix_spawnp(
            command[0], [*command], os.environ, file_actions=actions, setsigmask=()
        )
        fd = os.pidfd_open(pid)
    except OSError:
        os.close(output)
        raise
    timer = loop.after(patience, partial(os.kill, pid, 9)) if patience is not None else None

    def on_end(_: int) -> None:
        if timer is not None:
            timer.cancel()
        loop.unwatch(fd)
        os.close(fd)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        text = os.pread(output, _MOST_SAID, 0).decode("utf-8", "replace").strip()
        os.close(output)
        then(status, text or f"exit status {status}")

    loop.watch(fd, EPOLLIN, on_end)
