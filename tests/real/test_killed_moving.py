"""The process is killed in the middle of the change from virtlockd to lockd, or back, at one system
call after the other, or such a call fails. At worst it is as if virtlockd had been killed: the
locks are gone with it, and the next lockd says whose. Never does a daemon say that it holds a lock
that is free."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lockd.attack.sweep import calls_in, errors, some
from tests.lockd.client import AUTOCREATE, SHARED, CallRefusedError
from tests.lockd.engine import PROGRAM, Engine, wait_for
from tests.real.moving_host import MovingHost, can_lock
from tests.tracing import attached

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

#: The system calls by which something changes, and how many of each are tried in a long run.
CALLS = {
    "execve": 4,
    "fcntl": 200,
    "sendmsg": 30,
    "unlink": 6,
    "rename": 4,
    "ftruncate": 10,
    "openat": 200,
    "pwrite64": 6,
    "memfd_create": 3,
    "socketpair": 3,
}

#: Those that are tried each time: the exec of lockd and of its supervisor, the middle of a lock's
#: change, the keeping of descriptors, and the file.
SHORT = {
    "takeover": [("execve", 1), ("execve", 2), ("fcntl", 5), ("sendmsg", 1)],
    "handback": [("execve", 1), ("fcntl", 7), ("rename", 1)],
    "handback of the child": [("rename", 1)],
}

#: How many calls fail in a long run, of each with each error that it can give, by chance.
MOST_ERRORS = 300

#: What the process changes, and what the daemon does that is its child by then.
COMMANDS = [*SHORT]


@pytest.fixture
def guest() -> Iterator[int]:
    """A process that locks are for, and that lives on without them."""
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    ) as process:
        yield process.pid


def send(host: MovingHost, command: str) -> str:
    """Have it change; returns what the command says is wrong."""
    done = subprocess.run(
        ["nsenter", "--target", str(host.process.pid), "--mount", PROGRAM, command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stderr


def child_of(pid: int) -> int:
    """The daemon, whose supervisor that process is or becomes."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    wait_for(lambda: children.read_text() != "", "it has a child")
    return int(children.read_text().split()[0])


def has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process ends, now or in a moment."""
    try:
        process.wait(1)
    except subprocess.TimeoutExpired:
        return False
    return True


def believed(run: Path) -> dict[str, str]:
    """The locks that a lockd says it holds, with what is wrong with them."""
    done = subprocess.run(
        [PROGRAM, "locks", "--json", "--socket", run / "libvirt/virtlockd-admin-sock"],
        capture_output=True,
        timeout=60,
    )
    if done.returncode not in (0, 1):
        return {}
    return {lock["path"]: lock["problem"] for lock in json.loads(done.stdout)}


@pytest.mark.parametrize("command", COMMANDS)
def test_killed_at_a_system_call(
    tmp_path: Path, guest: int, command: str, request: pytest.FixtureRequest
) -> None:
    if not request.config.getoption("--exhaustive"):
        for call, number in SHORT[command]:
            assert check(tmp_path, guest, command, call, number)
        return
    reached = 0
    for call, most in CALLS.items():
        for number in range(1, most + 1):
            if not check(tmp_path, guest, command, call, number):
                break  # there are no more of them
            reached += 1
    assert reached > 20 or command == "handback of the child"


#: The calls that fail each time: in the middle of a lock's change, and where a program starts.
SHORT_ERRORS = {
    "takeover": [("fcntl", 3, "ENOLCK"), ("memfd_create", 1, "ENOMEM")],
    "handback": [
        *(("fcntl", 9, "EIO"), ("rename", 1, "ENOSPC"), ("pipe2", 1, "EMFILE")),
        *(("execve", 1, "ENFILE"), ("openat", 29, "EIO")),
    ],
    "handback of the child": [("rename", 1, "ENOSPC")],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_system_call_fails(
    tmp_path: Path, guest: int, command: str, request: pytest.FixtureRequest
) -> None:
    if not request.config.getoption("--exhaustive"):
        for call, number, error in SHORT_ERRORS[command]:
            assert check(tmp_path, guest, command, call, number, f"error={error}")
        return
    points = errors(calls_made(tmp_path, guest, command))
    for point in some(points, MOST_ERRORS, seed=0):
        check(tmp_path, guest, command, point.call, point.number, f"error={point.error}")


def calls_made(scratch: Path, guest: int, command: str) -> Counter[str]:
    """The system calls of the change, to the last one before virtlockd or lockd is there."""
    directory = scratch / "calls"
    directory.mkdir()
    with MovingHost(directory) as host:
        pid = prepare(host, guest, command)
        with attached(pid, directory / "trace", "strace", "--quiet=all"):
            told = send(host, command.partition(" ")[0])
        assert not told
        trace = (directory / "trace").read_text()
    before, virtlockd, _ = trace.rpartition('execve("/usr/sbin/virtlockd"')
    return calls_in(before if virtlockd else trace)


def prepare(host: MovingHost, guest: int, command: str) -> int:
    """Have the guest hold two locks; returns the process that the command changes."""
    client = host.client()
    client.register("web", guest)
    client.acquire(host.lockspace, "one")
    client.acquire(host.lockspace, "two", AUTOCREATE | SHARED)
    pid = host.process.pid
    if command != "takeover":
        host.move("takeover")
    return child_of(pid) if command == "handback of the child" else pid


def check_next(host: MovingHost, guest: int, where: str) -> None:
    """lockd goes on in the next process, with all locks and clients, and can become virtlockd."""
    run = host.run
    wait_for(lambda: [*believed(run).values()] == ["", ""], f"{where}: lockd goes on", 20)
    for path in believed(run):
        assert not can_lock(Path(path)), f"{where}: {path}"
    pid = int((run / "virtlockd.pid").read_text())
    host.know(pid, child_of(pid))
    assert not (run / "virtlockd-restart-exec.json").exists(), where
    done = host.again(pid, PROGRAM, "handback")
    assert done.returncode == 0, f"{where}: {done.stderr}"
    assert os.path.basename(os.readlink(f"/proc/{pid}/exe")) == "virtlockd"
    client = host.client()
    client.register("other", guest + 1)
    with pytest.raises(CallRefusedError, match=r"is locked$"):
        client.acquire(host.lockspace, "one")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), "it has ended")


def check(
    scratch: Path,
    guest: int,
    command: str,
    call: str,
    number: int,
    fault: str = "signal=KILL",
) -> bool:
    """Kill the process at that system call, or have that fail, and look at what has become of the
    locks. Returns whether there was such a call."""
    where = f"{command}: {call} {number} {fault}"
    directory = scratch / str(len(os.listdir(scratch)))  # a short name, for the sockets in it
    directory.mkdir()
    with MovingHost(directory) as host:
        pid = prepare(host, guest, command)
        trace = directory / "trace"
        inject = ("--trace", f"execve,wait4,{call}", "--inject", f"{call}:{fault}:when={number}")
        with attached(pid, trace, "strace", "--quiet=all", *inject):
            told = send(host, command.partition(" ")[0])
            is_there = not has_ended(host.process)
        files = {name: host.lockspace / name for name in ("one", "two")}
        if is_there:
            # It has come through, or another has gone on.
            free = {name for name, file in files.items() if not file.exists() or can_lock(file)}
            assert not free, f"{where}: {free} {host.log}"
            if pid != host.process.pid and "execve" not in call:
                # Its supervisor has become virtlockd, or started the next one, or it goes on.
                reasons = "killed meanwhile|refused|cannot be started again|in danger"
                assert not told or re.search(reasons, told), f"{where}: {told}"
            return bool(re.search(r"\(INJECTED\)|killed by SIGKILL", trace.read_text()))
        log = host.log
        told_all = trace.read_text()
        is_virtlockd = re.search(r'execve\("[^"]*/virtlockd".* = 0$', told_all, re.M)
        if command == "handback" and not is_virtlockd:
            has_guard = re.search(r"^wait4\(\d+, .*\], 0, NULL", told_all, re.M)
            assert has_guard or fault == "signal=KILL", f"{where}: {log}"
            if has_guard:
                check_next(host, guest, where)
                return True
    # Its child, which the host has ended, may have outlived it; what is left belongs to no process.
    time.sleep(0.1)
    (directory / "log").unlink()
    with Engine(directory) as engine:
        held = believed(engine.run)
        for path, problem in held.items():
            assert problem or not can_lock(Path(path)), f"{where}: {path}"
        if not held and os.path.exists(f"/proc/{guest}"):
            # virtlockd, once it is there, has removed the file that would tell.
            was_left = not is_virtlockd and ("took over" in log or call == "execve")
            said = re.findall(r"the lock (\S+) of guest 'web' \(pid \d+\) was lost", engine.log)
            assert not was_left or len(said) == 2, f"{where}: {engine.log}"
    return True
