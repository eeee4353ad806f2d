"""Spin, which looks at every state that a model can come to.

A model with an ``ltl`` formula, which the macro ``PROGRESS`` brings in, is checked for runs that
never come to what is promised, with weak fairness; all others for assertions that fail and for
states in which no process can continue.

A model in which nothing happens breaks nothing. So Spin is also asked what a model cannot come to
(:func:`never_happens`).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

MODELS: Final = Path(__file__).parent

#: The macro of the runs that check progress.
_PROGRESS: Final = "PROGRESS"

#: Breadth first, so that the first trace found is a shortest one.
_SAFETY: Final = (("-DSAFETY", "-DBFS"), ())
_LIVENESS: Final = (("-DNFAIR=3", "-DREACH"), ("-a", "-f", "-i"))

#: What compiles the program that Spin makes: tcc takes a tenth of the time that gcc takes, which is
#: most of the time of a run.
_COMPILERS: Final = ("tcc", "gcc")

#: How deep a run may be, in steps, and how long Spin may take, in seconds.
_DEPTH: Final = 1_000_000
_PATIENCE: Final = 600

#: Each statement in a state of its own, so that Spin can tell of each whether it is reached.
_EACH_STATEMENT: Final = "-o3"

#: The process that waits for what has to happen, and how Spin tells what a process never comes to.
_PROBES: Final = "happens"
_PROCESS: Final = re.compile(r"unreached in (?:proctype |claim )?(\w+)")
_UNREACHED: Final = re.compile(r'\t\S+:(\d+), state (\d+), "(.*)"')

#: What no process has to come to: its end, and what it does only where something is wrong.
_NEVER: Final = ("-end-", "assert(0)")

#: A statement, or one that Spin has put together with the one before it, in the program it makes.
_STATEMENT: Final = re.compile(r"STATE (\d+) - \S+:(\d+) - \[(.*)\] \(")
_PROGRAM: Final = re.compile(r"\s*/\* (?:PROC|CLAIM) :?(\w+):? \*/")

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
        _compile(directory, *compiled)
        said = _run(directory, "./pan", f"-m{_DEPTH}", *run)
        errors = re.search(r"errors: (\d+)", said)
        states = re.search(r"(\d+) states, stored", said)
        holds = errors is not None and errors[1] == "0"
        unfinished = "too small" in said or "out of memory" in said
        if errors is None or states is None or (holds and unfinished):
            raise SpinError(f"{model}: Spin did not come to the end: {said}")
        trace = () if holds else _trace(directory, source, macros)
        return Verdict(holds, int(states[1]), trace)


def never_happens(
    model: str, defines: Sequence[Sequence[str]], happens: Mapping[str, str]
) -> list[str]:
    """What a model cannot come to, with whichever of ``defines``: its statements, and what has to
    happen, by name, each an expression of Promela. Raises SpinError."""
    lines = (MODELS / f"{model}.pml").read_text().splitlines()
    waits = "".join(f'\n:: ({when}) -> printf("")' for when in happens.values())
    probes = ["", f"active proctype {_PROBES}() {{", f"end: do :: false{waits}", "od }", ""]
    text = "\n".join([*lines, *probes])
    first = len(lines) + 4
    there: set[tuple[int, str]] = set()
    reached: set[tuple[int, str]] = set()
    for define in defines:
        with TemporaryDirectory() as directory:
            source = Path(directory, f"{model}.pml")
            source.write_text(text)
            macros = [f"-D{macro}" for macro in define]
            _run(directory, "spin", "-a", _EACH_STATEMENT, *macros, source)
            _compile(directory, *_SAFETY[0])
            said = _run(directory, "./pan", f"-m{_DEPTH}", "-E", "-A")
            if "errors: 0" not in said or "too small" in said:
                raise SpinError(f"{model}: Spin did not come to the end: {said}")
            every = _statements(Path(directory, "pan.m").read_text())
        not_reached = _not_reached(said)
        for key, what in every.items():
            there.add(what)
            if key not in not_reached:
                reached.add(what)
    names = [*happens]
    return [
        names[line - first] if line >= first else f"line {line}: {text}"
        for line, text in sorted(there - reached)
    ]


def _statements(program: str) -> dict[tuple[str, str], tuple[int, str]]:
    """The line and the text of each statement, by its process and state there."""
    found: dict[tuple[str, str], tuple[int, str]] = {}
    process = ""
    for line in program.splitlines():
        if begins := _PROGRAM.match(line):
            process = begins[1]
        elif statement := _STATEMENT.search(line):
            state, number, text = statement.groups()
            if text not in _NEVER:
                found[process, state] = int(number), text
    return found


def _not_reached(said: str) -> set[tuple[str, str]]:
    """The states that no process has come to, by the names of the processes."""
    found: set[tuple[str, str]] = set()
    process = ""
    for line in said.splitlines():
        if begins := _PROCESS.match(line):
            process = begins[1]
        elif statement := _UNREACHED.match(line):
            found.add((process, statement[2]))
    return found


def _trace(directory: str, source: Path, macros: Sequence[str]) -> tuple[str, ...]:
    """The steps of the run that Spin has found, in the words of the model."""
    (trail,) = Path(directory).glob("*.trail")
    said = _run(directory, "spin", "-T", "-k", trail, "-t", *macros, source).splitlines()
    lines = [line for line in said if line and not _NOT_OF_THE_TRACE.match(line)]
    times = [(_CYCLE.get(line, line), len([*same])) for line, same in groupby(lines)]
    return tuple(line if count == 1 else f"{line} ({count} times)" for line, count in times)


def _compile(directory: str, *options: str) -> None:
    """Make ``pan``. Raises SpinError."""
    compiler = next(filter(shutil.which, _COMPILERS), _COMPILERS[-1])
    _run(directory, compiler, "-w", *options, "-o", "pan", "pan.c")


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
