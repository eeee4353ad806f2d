"""Faults of the system, put into a running engine; and whether what it says of its locks is what
the kernel holds."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockd.programs.inspect import LOCKS, PROGRAM, STATUS
from lockd.wire.xdr import Reader, pack_uint
from tests.lockd.client import MAX_ERROR, CallRefusedError, Client
from tests.lockd.engine import wait_for
from tests.tracing import attached

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from tests.lockd.engine import Engine

#: A line of /proc/locks: the kind, how, the pid, device and inode, the range.
_LOCK: Final = re.compile(
    r"\d+: (?P<kind>\S+) +ADVISORY +(?P<how>READ|WRITE) +-?\d+"
    r" (?P<major>[0-9a-f]+):(?P<minor>[0-9a-f]+):(?P<inode>\d+) 0 0$"
)


@contextmanager
def own_file_system(directory: Path) -> Iterator[Path]:
    """A tmpfs of its own at ``directory``, so that /proc/locks tells whose locks are on it."""
    directory.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0700", "tmpfs", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


def held_by_the_kernel(directory: Path) -> dict[int, str]:
    """The locks on byte 0 of files of the file system at ``directory``: by inode, READ or WRITE."""
    device = directory.stat().st_dev
    found = {}
    for line in Path("/proc/locks").read_text().splitlines():
        lock = _LOCK.match(line)
        if lock is None or "->" in line:
            continue
        if (int(lock["major"], 16), int(lock["minor"], 16)) == (os.major(device), os.minor(device)):
            found[int(lock["inode"])] = lock["how"]
    return found


def held_by_the_engine(engine: Engine) -> dict[int, str]:
    """The locks that the engine says are held, in the same words."""
    modes = {"shared": "READ", "exclusive": "WRITE"}
    return {
        os.stat(lock["path"]).st_ino: modes[lock["mode"]]
        for lock in locks_of(engine)
        if os.path.exists(lock["path"])
    }


def locks_of(engine: Engine) -> list[dict[str, Any]]:
    """What ``lockd locks`` tells, faster."""
    found: list[dict[str, Any]] = []
    last: int | None = 0
    while last is not None:
        answer = _ask(engine, LOCKS, pack_uint(last))
        found += answer["locks"]
        last = answer["last"]
    return found


def status_of(engine: Engine) -> dict[str, Any]:
    """What ``lockd status`` tells, faster."""
    return _ask(engine, STATUS)


def _ask(engine: Engine, procedure: int, arguments: bytes = b"") -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while True:
        try:
            with Client(engine.admin_socket) as client:
                answer = client.call(procedure, arguments, program=PROGRAM)
            found: dict[str, Any] = json.loads(Reader(answer).string(MAX_ERROR))
        except (EOFError, OSError):  # it is about to begin again
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return found


def wait_for_agreement(engine: Engine, seconds: float = 60.0) -> None:
    """Wait until the engine and the kernel say the same, and the engine says that all is well."""

    def agree() -> bool:
        return (
            held_by_the_engine(engine) == held_by_the_kernel(engine.lockspace)
            and not status_of(engine)["problems"]
        )

    try:
        wait_for(agree, "they agree", seconds)
    except AssertionError:
        known, held = held_by_the_engine(engine), held_by_the_kernel(engine.lockspace)
        problems = status_of(engine)["problems"]
        differ = sorted({*known.items()} ^ {*held.items()})[:10]
        log = engine.log[-3000:]
        raise AssertionError(f"they differ in {differ}; {problems}\n{log}") from None


class Strace:
    """strace, with faults put into the system calls of a process. ``count`` is how many were."""

    def __init__(self, log: Path) -> None:
        self._log: Final = log

    @property
    def count(self) -> int:
        """How many calls were spoilt so far."""
        return self._log.read_text(errors="replace").count("(INJECTED)")

    @property
    def text(self) -> str:
        """What was traced."""
        return self._log.read_text(errors="replace")


@contextmanager
def injected(pid: int, log: Path, *rules: str, follow: bool = True) -> Iterator[Strace]:
    """Put faults into the calls of a process, each by a rule as ``strace -e inject`` has it; if it
    is to ``follow``, into those of its threads and children as well."""
    command = ["strace", *(["-f"] if follow else []), "-q"]
    for rule in rules:
        command += ["-e", f"inject={rule}"]
    log.unlink(missing_ok=True)
    with attached(pid, log, *command):
        yield Strace(log)


@contextmanager
def no_descriptors(pid: int) -> Iterator[None]:
    """Have every call that makes a descriptor fail with EMFILE: the limit is below those in use."""
    before = _limit(pid)
    subprocess.run(["prlimit", f"--pid={pid}", "--nofile=3:"], check=True)
    try:
        yield
    finally:
        subprocess.run(["prlimit", f"--pid={pid}", f"--nofile={before}:"], check=True)


def _limit(pid: int) -> str:
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
        if line.startswith("Max open files"):
            return line.split()[3]
    raise AssertionError


def answer_of(call: Any, *arguments: Any) -> str:
    """What a client is told: empty if it has what it asked for."""
    try:
        call(*arguments)
    except CallRefusedError as error:
        return error.refused.message
    except (EOFError, BrokenPipeError):
        return "hung up"
    return ""
