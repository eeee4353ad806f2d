"""Descriptors that are set aside for what must not fail.

A process that has as many descriptors as it may have can take no more locks and clients, which they
are told. But what it has must come to an end all the same: a guest that has hung up is looked for
and ended, the journal is rewritten, what is kept is handed over. That takes descriptors, a few
at a time and for a moment: those that are set aside here, early, so that they have low numbers and
stay good when somebody lowers the limit of the running process.
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, TypeVar

    T = TypeVar("T")

#: How many there are: a journal takes three, a queue of descriptors four, and a takeover opens some
#: files more than the process before it.
SIZE: Final = 24

_NONE_LEFT: Final = (errno.EMFILE, errno.ENFILE)

_aside: Final[list[int]] = []


def fill() -> None:
    """Set aside what is missing, as far as there is any."""
    try:
        while len(_aside) < SIZE:
            _aside.append(os.open("/", os.O_PATH | os.O_CLOEXEC))
    except OSError:
        pass  # the next time


def insist(operation: Callable[[], T]) -> T:
    """Do something that needs descriptors, and once more with those that are set aside where there
    are no others. Raises what it raises."""
    try:
        return operation()
    except Exception as error:
        # The tools have errors of their own, for which the system's is the cause.
        reason = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(reason, OSError) or reason.errno not in _NONE_LEFT or not _aside:
            raise
    while _aside:
        os.close(_aside.pop())
    try:
        return operation()
    finally:
        fill()
