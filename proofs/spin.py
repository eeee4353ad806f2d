"""Spin, which looks at every state that a model can come to.

A model with an ``ltl`` formula, which the macro ``PROGRESS`` brings in, is checked for runs that
never come to what is promised, with weak fairness; all others for assertions that fail and for
states in which no process can continue.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

MODELS: Final = Path(__file__).parent

#: The macro of the runs that check progress.
_PROGRESS: Final = "PROGRESS"

#: Breadth first, so that the first trace found is a shortest one.
_SAFETY: Final = (("-DSAFETY", "-DBFS"), ())
_LIVENESS: Final = (("-DNFAIR=3", "-DREACH"), ("-a", "-f", "-i"))

#: How deep a run may be, in steps, and how long Spin may take, in seconds.
_DEPTH: Final = 1_000_000
_PATIENCE: Final = 600

#: What Spin says besides the lines of a trace.
_NOT_OF_THE_TRACE: Final = re.compile(
    r"ltl |Never claim|spin: |#processes|\d+ processes|\t|\s*\d+:"
)


#: What Spin says where a run without end begins to repeat itself.
_CYCLE: Final = {"<<<<<START OF CYCLE>>>>>": "from here on, again and again:"}


class SpinError(Exception):
    """Spin could not check a model; the text says why."""


@dataclass(frozen=True)
class Verdict:
    """What Spin says: whether the model ``holds``, how many ``states`` there are, and where it
    does not hold, a run of it that shows that, line by line."""

    holds: bool
    states: int
    trace: tuple[str, ...]


def check(model: str, define: Sequence[str], *, deadlocks: bool) -> Verdict:
    """Check one of the models of this folder, by its name; ``deadlocks`` are looked for in a model
    that has to hold, and of a mutant the other faults say more. Raises SpinError."""
    compiled, run = _LIVENESS if _PROGRESS in define else _SAFETY
    if not deadlocks:
        run = (*run, "-E")
    source = MODELS / f"{model}.pml"
    macros = [f"-D{macro}" for macro in define]
    with TemporaryDirectory() as directory:
        _run(directory, "spin", "-a", *macros, source)
        _run(directory, "gcc", "-O0", "-w", *compiled, "-o", "pan", "pan.c")
        said = _run(directory, "./pan", f"-m{_DEPTH}", *run)
        errors = re.search(r"errors: (\d+)", said)
        states = re.search(r"(\d+) states, stored", said)
        holds = errors is not None and errors[1] == "0"
        unfinished = "too small" in said or "out of memory" in said
        if errors is None or states is None or (holds and unfinished):
            raise SpinError(f"{model}: Spin did not come to the end: {said}")
        trace = () if holds else _trace(directory, source, macros)
        return Verdict(holds, int(states[1]), trace)


def _trace(directory: str, source: Path, macros: Sequence[str]) -> tuple[str, ...]:
    """The steps of the run that Spin has found, in the words of the model."""
    (trail,) = Path(directory).glob("*.trail")
    said = _run(directory, "spin", "-T", "-k", trail, "-t", *macros, source).splitlines()
    lines = [line for line in said if line and not _NOT_OF_THE_TRACE.match(line)]
    times = [(_CYCLE.get(line, line), len([*same])) for line, same in groupby(lines)]
    return tuple(line if count == 1 else f"{line} ({count} times)" for line, count in times)


def _run(directory: str, *command: str | Path) -> str:
    try:
        ran = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, timeout=_PATIENCE, check=True
        )
    except FileNotFoundError as error:
        raise SpinError(f"{command[0]} is not installed: install its package") from error
    except subprocess.CalledProcessError as error:
        raise SpinError(f"{command[0]} fails: {error.stdout}{error.stderr}") from error
    except subprocess.TimeoutExpired as error:
        raise SpinError(f"{command[0]} takes longer than {_PATIENCE} seconds") from error
    return ran.stdout
