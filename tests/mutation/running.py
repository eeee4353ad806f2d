"""Mutants are tried: each in a process of its own, which runs the tests that come to the changed
line until one fails."""

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

import coverage
import pytest

from tests.mutation.mutants import PROJECT, Mutant, NotPossibleError, put_in, statement_at
from tests.simulation.run import first_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
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


def tried(
    target: Target, mutants: Iterable[Mutant], tell: Callable[[Mutant, Outcome], None]
) -> None:
    """Tell what becomes of each mutant of a target, whose tests are loaded once. Raises
    RuntimeError if they fail without a mutant. What the process writes meanwhile goes nowhere."""
    for module in modules_of([target]):
        importlib.import_module(module.removesuffix(".py").replace("/", "."))
    trial = _Trial(target, mutants, tell)
    # No capture: processes are forked in between.
    options = ["-s", "-p", "no:cacheprovider"]
    with _silence(), TemporaryDirectory() as scratch:
        pytest.main([*options, f"--basetemp={scratch}/tests", *target.tests], plugins=[trial])
    if trial.error is not None:
        raise trial.error


class _Trial:
    """A plugin of pytest. It runs all tests once, and notes which lines each comes to; then each
    mutant with those that come to its line, the quickest first."""

    def __init__(
        self, target: Target, mutants: Iterable[Mutant], tell: Callable[[Mutant, Outcome], None]
    ) -> None:
        self.error: Exception | None = RuntimeError("pytest did not come to the tests")
        self._target: Final = target
        self._mutants: Final = mutants
        self._tell: Final = tell
        self._failed: Final[list[str]] = []
        #: Of each test, in seconds of the processor; and those that fork: the lines that their
        #: children come to are not noted.
        self._times: Final[dict[str, float]] = {}
        self._forking: Final[set[str]] = set()
        self._running = ""
        self._schedules_take = 0.0
        #: Which tests come to a line, by the file. What a fixture of several tests comes to, and
        #: what is run to collect the tests, has the name "".
        self._by_line: Final[dict[str, dict[int, set[str]]]] = {}
        paths = [str(PROJECT / each) for each in modules_of([target])]
        # What newer releases of Python do by default knows no contexts.
        os.environ["COVERAGE_CORE"] = "ctrace"
        self._coverage: Final = coverage.Coverage(
            data_file=None, config_file=False, include=paths, messages=False
        )
        self._coverage.start()

    # --- what pytest calls

    def pytest_runtestloop(self, session: pytest.Session) -> object:
        """Instead of running the tests once."""
        try:
            # A mutant may take any directory for the one it is meant to write to.
            with TemporaryDirectory() as directory, contextlib.chdir(directory):
                self._run_without_mutant(session.items)
                for mutant in self._mutants:
                    self._tell(mutant, self._outcome(mutant, session))
        except Exception as error:  # noqa: BLE001 - the caller of pytest raises it again
            self.error = error
        else:
            self.error = None
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test has failed, or not."""
        if report.failed:
            self._failed.append(report.nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object]) -> Iterator[None]:
        """What a fixture of several tests comes to is not the first one's alone."""
        if fixturedef.scope == "function" or not self._running:
            return (yield)
        self._coverage.switch_context("")
        try:
            return (yield)
        finally:
            self._coverage.switch_context(self._running)

    # --- without a mutant

    def _run_without_mutant(self, items: list[pytest.Item]) -> None:
        os.register_at_fork(before=lambda: self._forking.add(self._running))
        for item, following in _pairs(items):
            self._running = item.nodeid
            self._coverage.switch_context(item.nodeid)
            before = time.process_time()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            self._times[item.nodeid] = time.process_time() - before
        self._running = ""
        self._coverage.stop()
        data = self._coverage.get_data()
        for file in data.measured_files():
            lines = data.contexts_by_lineno(file)
            self._by_line[file] = {line: {*names} for line, names in lines.items()}
        before = time.process_time()
        if self._failed or not self._schedules_pass():
            what = self._failed or ["the schedules"]
            raise RuntimeError(f"without a mutant this fails: {' '.join(what)}")
        self._schedules_take = time.process_time() - before

    def _schedules_pass(self) -> bool:
        count = self._target.schedules
        return not count or first_failure(range(_SEED, _SEED + count)) is None

    # --- with one

    def _chosen(self, mutant: Mutant, items: list[pytest.Item]) -> list[pytest.Item]:
        """The tests that come to a statement that a mutant changes."""
        lines = self._by_line.get(str(PROJECT / mutant.module), {})
        first, last = statement_at(mutant.module, mutant.line)
        names = {name for line in range(first, last + 1) for name in lines.get(line, ())}
        chosen = [each for each in items if "" in names or each.nodeid in names | self._forking]
        return sorted(chosen, key=lambda each: self._times[each.nodeid])

    def _outcome(self, mutant: Mutant, session: pytest.Session) -> Outcome:
        chosen = self._chosen(mutant, session.items)
        child = os.fork()
        if child == 0:
            self._try(mutant, chosen)
        watched = os.pidfd_open(child)
        try:
            status = _status_of(child, watched)
        finally:
            os.close(watched)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGALRM):
            return "endless"
        code = os.waitstatus_to_exitcode(status)
        return "survives" if code == _SURVIVES else "not tried" if code == _NOT_TRIED else "killed"

    def _try(self, mutant: Mutant, chosen: list[pytest.Item]) -> None:
        code = 1
        try:
            os.setsid()
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(_BY_THE_CLOCK)
            needed = sum(self._times[each.nodeid] for each in chosen) + self._schedules_take
            limit = int(time.process_time() + _TIMES * needed + _MORE) + 1
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            gc.unfreeze()
            put_in(mutant)
            if self._all_is_well(chosen):
                code = _SURVIVES
        except NotPossibleError:
            code = _NOT_TRIED
        finally:
            os._exit(code)

    def _all_is_well(self, chosen: list[pytest.Item]) -> bool:
        with TemporaryDirectory() as scratch:
            if chosen:
                factory = chosen[0].config._tmp_path_factory  # type: ignore[attr-defined]
                factory._basetemp = Path(scratch)
            for item, following in _pairs(chosen):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if self._failed:
                    return False
            return self._schedules_pass()


def _pairs(items: list[pytest.Item]) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
    """Each with the one after it."""
    return zip(items, [*items[1:], None], strict=True)


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
