"""Descriptors that are set aside for what must not fail.

A process without a free descriptor refuses new locks and clients. But it must still be able to end
a guest that has hung up, rewrite the journal, and hand over its state. That takes a few descriptors
for a moment. They are set aside here, early, so that they have low numbers and stay valid when a
command lowers the limit of the running process.
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
    """Set aside the descriptors that are missing, as far as the limit allows."""
    try:
        while len(_aside) < SIZE:
            _aside.append(os.open("/", os.O_PATH | os.O_CLOEXEC))
    except OSError:
        pass  # the next time


def insist(operation: Callable[[], T]) -> T:
    """Do something that needs descriptors. If none is free, do it again with those that are set
    aside. Raises what it raises."""
    try:
        return operation()
    except Exception as error:
        if not _is_for_want(error) or not _aside:
            raise
    while _aside:
        os.close(_aside.pop())
    try:
        return operation()
    finally:
        fill()


def _is_for_want(error: Exception) -> bool:
    """Whether an error says that no descriptor is free. The caller's function may have raised one
    of its own, with the system's as its cause.

    It is a function of its own, so that no frame holds on to an error that holds on to the frame:
    what was open there would stay open.
    """
    reason = error if isinstance(error, OSError) else error.__cause__
    return isinstance(reason, OSError) and reason.errno in _NONE_LEFT
