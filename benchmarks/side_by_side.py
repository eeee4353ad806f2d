"""Timing two commands against each other on a noisy machine.

They run in turn, A B A B …, and the figure is the median of the ratios of the pairs: when the
machine slows down, it slows down both.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Command = Sequence[str]


@dataclass(frozen=True)
class Result:
    """Two medians in milliseconds, and the median, least and greatest ratio of ours to theirs."""

    ours: float
    theirs: float
    ratio: float
    least: float
    greatest: float


def compare(ours: Callable[[int], Command], theirs: Callable[[int], Command], runs: int) -> Result:
    """Run the two commands ``runs`` times in turn, after one uncounted run of each.

    A command is made for each run from its number, so that a run that writes can write
    something new. A command that fails ends the benchmark: it would have timed nothing.
    """
    pairs: list[tuple[float, float]] = []
    for number in range(runs + 1):
        pair = (_milliseconds(ours(number)), _milliseconds(theirs(number)))
        if number:
            pairs.append(pair)
    ratios = [a / b for a, b in pairs]
    return Result(
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(ratios),
        min(ratios),
        max(ratios),
    )


def _milliseconds(command: Command) -> float:
    start = time.perf_counter()
    result = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    elapsed = time.perf_counter() - start
    if result.returncode not in (0, 1):
        raise SystemExit(f"{os.path.basename(command[0])} failed: {result.stderr.decode()}")
    return elapsed * 1000
