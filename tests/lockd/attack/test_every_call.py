"""The engine is killed at each call of the system that it makes, and each call fails with each
error that it can give: in a long run at all of them, else at some, which a seed chooses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.lockd.attack.faults import locks_of, own_file_system
from tests.lockd.attack.sweep import (
    Book,
    Point,
    Thief,
    calls_in,
    errors,
    kills,
    settled_leftovers,
    some,
    stopped_at_its_start,
    traced,
)
from tests.lockd.client import AUTOCREATE, SHARED
from tests.lockd.engine import Engine, wait_for
from tests.lockd.program import Copy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import Final

    from tests.lockd.attack.sweep import Leftovers

#: How many calls to try at most for each that has to be met.
_TRIES: Final = 5

#: A pid that no process has: the kernel gives out none as large.
NOBODY: Final = (1 << 23) + 100

#: The program, but in a hurry: it starts again at once, removes the files of released locks soon,
#: and begins a new journal after some calls.
HURRY: Final = (
    ("survival/supervisor.py", "_SOON: Final = 1.0", "_SOON: Final = 0.0"),
    ("survival/supervisor.py", "(0.05, 5.0)", "(0.01, 0.01)"),
    ("locks/idle.py", "IDLE_FOR: Final = 0.25", "IDLE_FOR: Final = 0.05"),
    ("daemon/upkeep.py", "_TEND_AFTER: Final = 1.0", "_TEND_AFTER: Final = 0.05"),
    ("daemon/upkeep.py", "_REWRITE_AFTER: Final = 1.0", "_REWRITE_AFTER: Final = 0.05"),
    ("survival/journal.py", "_GROWTH: Final = 1024 * 1024", "_GROWTH: Final = 2000"),
)

#: What stops a daemon before it begins, so that strace can be attached.
STOP: Final = """
    if os.path.exists({trigger!r}):
        import signal

        os.kill(os.getpid(), signal.SIGSTOP)
    gc.disable()  # until all"""

#: Makes guests: each line has the names that one locks; its pid is printed. They end when they are
#: killed; ``hang up`` makes them hang up first, with all else that they do not want to hear.
GUESTS: Final = """
import os, signal, sys
from tests.lockd.client import Client
socket, lockspace = sys.argv[1:]
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    names = line.split()
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        client = Client(socket, timeout=60)
        client.register("own")
        for name in names:
            client.acquire(lockspace, name)
        os.write(write, b"x")
        signal.pause()
    os.close(write)
    os.read(read, 1)
    os.close(read)
    print(pid, flush=True)
"""


class Bench:
    """An engine that goes through all of it, with a thief and with guests."""

    def __init__(self, directory: Path, *, everywhere: bool) -> None:
        self.directory: Final = directory
        self.trigger: Final = directory / "stop"
        self.copy: Final = Copy(directory)
        for change in HURRY:
            self.copy.change(*change)
        stop = STOP.format(trigger=str(self.trigger))
        self.copy.change("daemon/serving.py", "\n    gc.disable()  # until all", stop)
        self._stack: Final = ExitStack()
        self.guest_pid = 0
        self._pause: Final = 0.0002 if everywhere else 0.001

    def __enter__(self) -> Bench:
        lockspace = self.directory / "lockspace"
        self._stack.enter_context(own_file_system(lockspace))
        self.engine = self._stack.enter_context(Engine(self.directory, command=self.copy.command))
        thief = Thief(lockspace, self.directory / "page", self._pause)
        self.thief = self._stack.enter_context(thief)
        self._guests = self._stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", GUESTS, self.engine.socket, lockspace],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        self.book = Book(self.engine, self.thief, ("guest", NOBODY))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def guest(self, *names: str) -> int:
        """A guest with those locks of its own."""
        assert self._guests.stdin is not None
        assert self._guests.stdout is not None
        self._guests.stdin.write(" ".join(names) + "\n")
        self._guests.stdin.flush()
        pid = int(self._guests.stdout.readline())
        for name in names:
            self.book.granted(name)
        return pid

    def wait_until_up(self) -> None:
        """There is a daemon that answers."""
        locks_of(self.engine)

    @property
    def log(self) -> Path:
        """Where strace writes."""
        return self.directory / "trace"


def calls(bench: Bench) -> None:
    """Everything that a client asks for: new files, idle files, shared and exclusive."""
    book = bench.book
    book.acquire("a")
    book.acquire("b", AUTOCREATE | SHARED)
    book.acquire("b", AUTOCREATE | SHARED)
    for name in "aab":
        if book.count[name] > 0:
            book.release(name)
    book.acquire("a")
    book.acquire("c")
    book.hang_up()


def end_of_a_guest(bench: Bench) -> None:
    """A guest with two locks is killed."""
    pid = bench.guest_pid
    bench.book.check()
    for name in ("own-1", "own-2"):
        bench.book.let_go(name)
    os.kill(pid, signal.SIGKILL)
    ended = time.monotonic()
    # Not to be asked of the engine, which would make more calls for that.
    for name in ("own-1", "own-2"):
        wait_for(partial(is_free_since, bench, name, ended), "its locks are released")


def is_free_since(bench: Bench, name: str, when: float) -> bool:
    """Whether the thief has found a lock free after that time."""
    return bench.thief.free_at(name) > when


def new_journal(bench: Bench) -> None:
    """So much is recorded that a new journal is begun."""
    for _ in range(12):
        bench.book.acquire("a")
        if bench.book.count["a"] > 0:
            bench.book.release("a")


def upgrade(bench: Bench) -> None:
    """The engine starts again in place."""
    before = len(bench.engine.log)
    os.kill(bench.engine.process.pid, signal.SIGUSR1)
    wait_for(
        lambda: (
            "took over" in bench.engine.log[before:]
            or "continuing as before" in bench.engine.log[before:]
            or "cannot be started again" in bench.engine.log[before:]
        ),
        "it is over",
    )


def nothing(_: Bench) -> None:
    """No more than the locks that are there."""


def a_guest(bench: Bench) -> None:
    """A guest with two locks."""
    bench.guest_pid = bench.guest("own-1", "own-2")


class Scene(NamedTuple):
    """What is done to the engine. ``is_start`` tells that what is looked at is the next daemon."""

    act: Callable[[Bench], None]
    prepare: Callable[[Bench], None] = nothing
    is_start: bool = False


SCENES: Final = {
    "calls": Scene(calls),
    "end of a guest": Scene(end_of_a_guest, a_guest),
    "new journal": Scene(new_journal),
    "upgrade": Scene(upgrade),
    "after a crash": Scene(nothing, is_start=True),
}


def play(bench: Bench, scene: Scene, points: Sequence[Point]) -> str:
    """Play a scene with faults; returns the trace."""
    engine, book = bench.engine, bench.book
    for name, flags in (("kept", AUTOCREATE), ("b", AUTOCREATE | SHARED)):
        assert book.acquire(name, flags) == ""
    scene.prepare(bench)
    if scene.is_start:
        bench.trigger.touch()
        os.kill(engine.pid, signal.SIGKILL)
        with ExitStack() as stack:
            with stopped_at_its_start(engine, bench.trigger) as pid:
                strace = stack.enter_context(traced(pid, bench.log, points))
            wait_for(partial(is_through, bench, pid), "it is through")
            scene.act(bench)
        trace = strace.text
    else:
        with traced(engine.pid, bench.log, points) as strace:
            scene.act(bench)
        trace = strace.text
    book.settle()
    return trace


def is_through(bench: Bench, pid: int) -> bool:
    """Whether a daemon that was stopped and continues is up, or has ended."""
    return bench.engine.pid != pid or "epoll_wait(" in bench.log.read_text(errors="replace")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Bench]:
    everywhere = pytestconfig.getoption("--exhaustive")
    with Bench(tmp_path_factory.mktemp("bench"), everywhere=everywhere) as bench:
        yield bench


@pytest.mark.parametrize("what", ["kills", "errors"])
@pytest.mark.parametrize("scene", SCENES)
def test_at_every_call(bench: Bench, pytestconfig: pytest.Config, scene: str, what: str) -> None:
    everywhere = pytestconfig.getoption("--exhaustive")
    made = calls_in(play(bench, SCENES[scene], ()))
    clean = settled_leftovers(bench.engine, bench.book)
    points = kills(made, everywhere=everywhere) if what == "kills" else errors(made)
    total, seed = len(points), pytestconfig.getoption("--seed")
    wanted = pytestconfig.getoption("--faults")
    if not everywhere:
        # An engine does not make each call again: then another call is tried in its place.
        points = some(points, _TRIES * wanted, seed)
    met = tried = 0
    rounds = bench.thief.rounds
    for point in points:
        if not everywhere and met == wanted:
            break
        tried += 1
        try:
            trace = play(bench, SCENES[scene], (point,))
            met += "(INJECTED)" in trace or "+++ killed by SIGKILL +++" in trace
            check_leftovers(bench, clean, point)
        except BaseException as error:
            error.add_note(f"at {point.rule}; seed {seed}; the engine's log ends with")
            error.add_note(bench.engine.log[-2000:])
            raise
    print(
        f"{scene}: {met} of {tried} {what} were met, of {total} in {made.total()} calls;"
        f" seed {seed}; the thief has tried {bench.thief.rounds - rounds} times"
    )
    assert met >= (len(points) / 2 if everywhere else min(wanted, total / 2))
    assert bench.thief.rounds > rounds


def check_leftovers(bench: Bench, clean: Leftovers, point: Point) -> None:
    """Nothing is left that was not there before."""
    if point.call == "close":
        # strace says that it fails and does not make it: the descriptor stays.
        bench.engine.crash()
    deadline = time.monotonic() + 10
    while True:
        now = settled_leftovers(bench.engine, bench.book)
        more = (now.engine - clean.engine, now.supervisor - clean.supervisor)
        if not any(more) and now.processes == clean.processes and now.files == clean.files:
            return
        assert time.monotonic() < deadline, (more, now.processes, now.files ^ clean.files)
        time.sleep(0.05)


class Start:
    """The start of an engine where there was none."""

    def __init__(self, directory: Path) -> None:
        self.trigger: Final = directory / "stop"
        self.copy: Final = Copy(directory)
        stop = STOP.format(trigger=str(self.trigger))
        self.copy.change("daemon/serving.py", "\n    gc.disable()  # until all", stop)

    def play(self, directory: Path, points: Sequence[Point]) -> str:
        """Start it with faults; whatever becomes of that, one without faults starts afterwards, and
        nothing is left when it has ended. Returns the trace."""
        directory.mkdir()
        self.trigger.touch()
        log = directory.with_suffix(".trace")
        engine = Engine(directory, command=self.copy.command)
        try:
            with ExitStack() as stack:
                with stopped_at_its_start(engine, self.trigger) as pid:
                    strace = stack.enter_context(traced(pid, log, points))
                wait_for(
                    lambda: (
                        engine.process.poll() is not None
                        or "epoll_wait(" in strace.text
                        # Once it has said that it is ready, another follows.
                        or "+++ killed" in strace.text
                    ),
                    "it is through",
                )
        finally:
            ended = engine.process.poll()
            engine.process.terminate()
            engine.process.wait()
        assert ended != 0
        with Engine(directory, command=self.copy.command) as again:
            client = again.client()
            client.register("guest", NOBODY)
            client.acquire(again.lockspace, "a")
            client.release(again.lockspace, "a")
        left = {str(path.relative_to(directory)) for path in (directory / "run").rglob("*")}
        assert left <= {"run/libvirt", "run/mount"}, left  # the latter is of mount(8)
        assert "Traceback" not in engine.log
        return strace.text


@pytest.mark.parametrize("what", ["kills", "errors"])
def test_at_every_call_of_a_start(tmp_path: Path, pytestconfig: pytest.Config, what: str) -> None:
    everywhere = pytestconfig.getoption("--exhaustive")
    start = Start(tmp_path)
    made = calls_in(start.play(tmp_path / "clean", ()))
    points = kills(made, everywhere=everywhere) if what == "kills" else errors(made)
    total, seed = len(points), pytestconfig.getoption("--seed")
    if not everywhere:
        points = some(points, pytestconfig.getoption("--faults"), seed)
    met = 0
    for number, point in enumerate(points):
        try:
            trace = start.play(tmp_path / str(number), (point,))
        except BaseException as error:
            error.add_note(f"at {point.rule}; seed {seed}; its log:")
            error.add_note((tmp_path / str(number) / "log").read_text()[-2000:])
            raise
        met += "(INJECTED)" in trace or "+++ killed by SIGKILL +++" in trace
    print(f"start: {met} of {len(points)} {what} were met, of {total}; seed {seed}")
    assert met >= len(points) / 2
