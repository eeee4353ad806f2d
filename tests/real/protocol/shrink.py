"""The shortest part of a play that still does what the whole of it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.real.protocol.steps import Send

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.real.protocol.steps import Play, Step


def shrink(play: Play, still: Callable[[Play], bool]) -> Play:
    """Leave out steps, then join pieces, as long as ``still`` says yes of what is left."""
    size = len(play.steps) // 2
    while size:
        at = 0
        while at < len(play.steps):
            shorter = play._replace(steps=play.steps[:at] + play.steps[at + size :])
            if still(shorter):
                play = shorter
            else:
                at += size
        size //= 2
    for index, step in enumerate(play.steps):
        if isinstance(step, Send) and len(step.pieces) > 1:
            whole: Step = step._replace(pieces=(step.data,))
            steps = (*play.steps[:index], whole, *play.steps[index + 1 :])
            if still(play._replace(steps=steps)):
                play = play._replace(steps=steps)
    return play
