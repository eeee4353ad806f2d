"""Mutants are tried: each in a process of its own, which runs tests until one fails."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import resource
import signal
import sys
import time
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.mutation.mutants import PROJECT, Mutant, NotPossibleError, put_in
from tests.simulation.run import first_failure

if TYPE_CHECKING:
    from typing import Final, Literal

    #: What becomes of a mutant. One that no longer comes to an end is noticed too; one whose code
    #: cannot be exchanged in a process is not tried.
    Outcome = Literal["killed", "endless", "survives", "not tried"]

_HERE: Final = Path(__file__).parent

#: How much longer than without a mutant the tests may take, and how much more, in seconds of the
#: processor. Who waits for what never comes is ended after so many by the clock.
_TIMES: Final = 3
_MORE: Final = 3
_BY_THE_CLOCK: Final = 300

#: The seed of the first schedule.
_SEED: Final = 5_000_000

_SURVIVES: Final = 10
_NOT_TRIED: Final = 11


class Target(NamedTuple):
    """Modules, by patterns, and what has to notice their mutants."""

    modules: list[str]
    tests: list[str]
    schedules: int = 0


def targets() -> list[Target]:
    """As the file has them."""
    told = tomllib.loads((_HERE / "targets.toml").read_text())["target"]
    return [Target(**each) for each in told]


def modules_of(targets: list[Target]) -> dict[str, Target]:
    """All modules, each with the first target that names it."""
    found: dict[str, Target] = {}
    for target in targets:
        for pattern in target.modules:
            for path in sorted(PROJECT.glob(pattern)):
                found.setdefault(str(path.relative_to(PROJECT)), target)
    return found


def is_mutated(module: str) -> bool:
    """Whether a target names a module."""
    return any(fnmatch(module, pattern) for each in targets() for pattern in each.modules)


class Trial:
    """The tests of a target, loaded once. Raises RuntimeError if they fail without a mutant."""

    def __init__(self, target: Target) -> None:
        self._target: Final = target
        for module in modules_of([target]):
            importlib.import_module(module.removesuffix(".py").replace("/", "."))
        before = used()
        if not self._all_is_well():
            raise RuntimeError(f"the tests fail without a mutant: {' '.join(target.tests)}")
        self._limit: Final = _TIMES * (used() - before) + _MORE

    def outcome(self, mutant: Mutant) -> Outcome:
        """What becomes of a mutant."""
        child = os.fork()
        if child == 0:
            self._try(mutant)
        watched = os.pidfd_open(child)
        try:
            status = _status_of(child, watched)
        finally:
            os.close(watched)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGALRM):
            return "endless"
        code = os.waitstatus_to_exitcode(status)
        return "survives" if code == _SURVIVES else "not tried" if code == _NOT_TRIED else "killed"

    def _try(self, mutant: Mutant) -> None:
        code = 1
        try:
            os.setsid()
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(_BY_THE_CLOCK)
            limit = int(time.process_time() + self._limit) + 1
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            gc.unfreeze()
            put_in(mutant)
            if self._all_is_well():
                code = _SURVIVES
        except NotPossibleError:
            code = _NOT_TRIED
        finally:
            os._exit(code)

    def _all_is_well(self) -> bool:
        schedules = self._target.schedules
        with _silence(), TemporaryDirectory() as scratch:
            if schedules and first_failure(range(_SEED, _SEED + schedules)) is not None:
                return False
            options = ["-x", "-q", "-p", "no:cacheprovider", f"--basetemp={scratch}/tests"]
            return pytest.main([*options, *self._target.tests]) == 0


def _status_of(child: int, watched: int) -> int:
    """Its wait status. Nothing of its session stays."""
    os.waitid(os.P_PIDFD, watched, os.WEXITED | os.WNOWAIT)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def used() -> float:
    """How many seconds of the processor this process and what it has waited for have used."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@contextlib.contextmanager
def _silence():  # type: ignore[no-untyped-def]
    """Have what is written by the tests go nowhere."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    os.close(nothing)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for fd, to in zip(kept, (1, 2), strict=True):
            os.dup2(fd, to)
            os.close(fd)
