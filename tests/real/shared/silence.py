"""What happens on a host, one of whose file systems is silent for a while."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from lockd.programs.inspect import ADOPT, LOCKS, PROGRAM, STATUS
from lockd.wire.xdr import Reader, pack_string
from tests.lockd.client import (
    ACQUIRE,
    AUTOCREATE,
    MAX_ERROR,
    RELEASE,
    CallRefusedError,
    Client,
    resource,
)
from tests.real.shared.daemons import ADMIN_SOCKET, LOCKD, LOG, PID_FILE, SOCKET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final, Literal

    from tests.real.shared.hosts import Host

    #: How guests take and release locks: by calls alone; or the end of a guest releases its lock;
    #: or they ask for the list of locks meanwhile, or have their locks by adoption.
    Doing = Literal["calls", "ending", "asking", "adopting"]

#: A lockspace that has nothing to do with the silent file system.
LOCAL: Final = "/run/lockspace"

#: The longest that a call of one who does not need the file system may take, in seconds.
AT_ONCE: Final = 1.0
#: The same in a machine that is emulated, beside other tests. The file system is silent until a
#: test mends it, so that who waits for it has no answer for longer than that, either.
AT_ONCE_EMULATED: Final = 10.0

#: How long something may take to come true, in seconds: TCP tries again ever more seldom.
PATIENCE: Final = 90.0


#: How many guests take and release locks when a host is cut off, and for how many seconds it is.
_BUSY: Final = 4
_SILENT_FOR: Final = 2.0
#: How long the kernel's own client may take to go on, in seconds: it connects again at its leisure.
_RECOVERY: Final = 240.0


class Silence(NamedTuple):
    """What was seen of it.

    ``waited`` is whether those who need the file system had no answer, each time that was looked
    at, ``longest`` how long the longest call of another one took, in seconds. ``path`` and
    ``problem`` are what the daemon said is wrong, ``command`` the exit status of ``lockd status``
    and ``shown`` its table; ``over`` is what was wrong afterwards. ``refused`` is what who wanted
    the lock then was told. ``log`` are the lines of the log.
    """

    waited: list[bool]
    longest: float
    path: str
    problem: str
    command: int
    shown: str
    over: list[str]
    refused: str
    log: list[str]


def others_go_on(
    host: Host, lockspace: str, *, cut: Callable[[], object], mend: Callable[[], object]
) -> Silence:
    """``cut`` a host, which runs lockd, off from the server of a lockspace, let one guest ask for a
    lock there and another let one go, and ``mend`` it."""
    with (
        guest(host, "web", lockspace) as web,
        guest(host, "db", lockspace, LOCAL) as db,
        guest(host, "other") as other,
    ):
        db.acquire(lockspace, "held")
        time.sleep(0.3)  # it is made visible a moment later; cut_in_the_middle is for that
        cut()
        web.send(ACQUIRE, resource(lockspace, "disk", AUTOCREATE))
        db.send(RELEASE, resource(lockspace, "held", 0))
        waited = [waits(web), waits(db)]
        took = longest(other)
        wait_for(lambda: bool(_problems(host)), "it is told")
        (problem,) = _problems(host)
        table = subprocess.run(
            host.command(LOCKD, "status"), stdout=subprocess.PIPE, text=True, check=False
        )
        waited += [waits(web), waits(db)]
        mend()
        web.reply()
        db.reply()
        refused = _refusal(db, lockspace, "disk")
        web.release(lockspace, "disk")
        over = [each["problem"] for each in _problems(host)]
    log = host.path(LOG).read_text(errors="replace").splitlines()
    return Silence(
        waited,
        took,
        problem["path"],
        problem["problem"],
        table.returncode,
        table.stdout,
        over,
        refused,
        log,
    )


def cut_in_the_middle(
    host: Host,
    lockspace: str,
    *,
    cut: Callable[[], object],
    mend: Callable[[], object],
    moment: float,
    doing: Doing = "calls",
) -> tuple[float, list[str]]:
    """``cut`` a host off while guests take and release locks all the time, in one of the ways that
    there are, after so many seconds, and ``mend`` it: how long the longest call of another one took
    meanwhile, in seconds, and what is wrong afterwards."""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(_guest_process(host, f"busy-{number}"))
            if doing == "adopting"
            else {"pid": 5004300 + number}
            for number in range(_BUSY)
        ]
        guests = [
            stack.enter_context(
                guest(host, f"busy-{number}", lockspace, pid=processes[number]["pid"])
            )
            for number in range(_BUSY)
        ]
        other = stack.enter_context(guest(host, "other", LOCAL))
        is_over = threading.Event()
        done = [0] * _BUSY
        before = [*done]

        def take_and_release(number: int) -> None:
            while not is_over.is_set():
                _take_and_release(host, doing, guests[number], lockspace, number, processes[number])
                done[number] += 1

        with ThreadPoolExecutor() as pool:
            running = [pool.submit(take_and_release, number) for number in range(_BUSY)]
            try:
                wait_for(lambda: all(done), "each has had its lock")
                time.sleep(moment)
                cut()
                took = longest_for(other, _SILENT_FOR)
                before = [*done]
                took = max(took, longest_for(other, 0.5))
                stood = before == done
                mend()
                wait_for(
                    lambda: (
                        any(each.done() for each in running)  # it has failed
                        or all(now > then for now, then in zip(done, before, strict=True))
                    ),
                    "all go on",
                    _RECOVERY,
                )
            except TimeoutError as error:
                error.add_note(f"{before} before, {done} now, {_problems(host)}")
                log = host.path(LOG).read_text(errors="replace").splitlines()
                error.add_note("\n".join(log[-50:]))
                raise
            finally:
                is_over.set()
                mend()
            for each in running:
                each.result()
        wrong = [each["problem"] for each in _problems(host)]
        if not stood:
            wrong.append("the file system was not silent")
        for number in range(_BUSY):
            # Each has let its lock go.
            wrong.append(_refusal(guests[0], lockspace, f"busy-{number}"))
            if not wrong[-1]:
                guests[0].release(lockspace, f"busy-{number}")
    return took, [each for each in wrong if each]


def _take_and_release(
    host: Host,
    doing: Doing,
    client: Client,
    lockspace: str,
    number: int,
    adopted: dict[str, Any],
) -> None:
    """Once, by the guest with a number; half of them hold the lock until lockd has made it
    visible."""
    name = f"busy-{number}"
    if doing == "ending":
        arguments = (sys.executable, "-m", "tests.lockd.guest", SOCKET, lockspace, name)
        with host.popen(*arguments, stdin=-1, stdout=-1, cwd=os.getcwd()) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.04 * (number % 2))
        wait_for(lambda: not _refusal(client, lockspace, name), "it is let go", _RECOVERY)
        client.release(lockspace, name)
        return
    if doing == "adopting":
        meant = {"space": lockspace, "name": name, "shared": False, "create": True}
        question = {"guest": adopted, "locks": [meant], "spaces": [lockspace], "dry": False}
        (outcome,) = _asked(host, ADOPT, pack_string(json.dumps(question)))["outcomes"]
        assert outcome == {"outcome": "taken"}
    else:
        client.acquire(lockspace, name)
    if doing == "asking":
        begun = time.monotonic()
        assert name in {each["resource"] for each in _asked(host, LOCKS, bytes(4))["locks"]}
        assert time.monotonic() - begun < AT_ONCE
    time.sleep(0.04 * (number % 2))
    client.release(lockspace, name)


def a_guest_ends(
    host: Host,
    lockspace: str,
    *,
    cut: Callable[[], object],
    mend: Callable[[], object],
    upgrade: bool = False,
    at_once: float = AT_ONCE,
) -> list[str]:
    """``cut`` a host off, have a guest end that holds a lock there, and ``mend`` it: what others
    are told meanwhile who ask for that lock, and afterwards, when the lock is free, who ask
    for one of another guest that has the same pid by then. ``at_once`` is the longest that others
    may wait, in seconds. Raises TimeoutError if it is not free."""
    arguments = (sys.executable, "-m", "tests.lockd.guest", SOCKET)
    with (
        guest(host, "next", lockspace, LOCAL) as other,
        host.popen(*arguments, lockspace, "disk", stdin=-1, stdout=-1, cwd=os.getcwd()) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        (lock,) = json.loads(host.run(LOCKD, "locks", "--json"))
        cut()
        pid = lock["owners"][0]["pid"]
        process.stdin.close()
        process.wait()
        with _process(host, pid), guest(host, "with its pid", pid=pid) as another:
            assert longest(other) < at_once
            told = [_refusal(other, lockspace, "disk")]
            another.acquire(LOCAL, "another")
            if upgrade:
                before = status(host)["since"]
                host.sh(f'kill -USR1 "$(pgrep -P "$(cat {PID_FILE})")"')
                wait_for(lambda: status(host)["since"] != before, "the next process is there")
                assert longest(other) < at_once
            mend()
            wait_for(lambda: not _refusal(other, lockspace, "disk"), "it is let go")
            told.append(_refusal(other, LOCAL, "another"))
            another.release(LOCAL, "another")
        other.release(lockspace, "disk")
    return told


def the_next_process(
    host: Host,
    lockspace: str,
    *,
    how: str,
    cut: Callable[[], object],
    mend: Callable[[], object],
    at_once: float = AT_ONCE,
) -> str:
    """``cut`` a host off while a guest holds one lock there and has just let others go, ``how`` be
    it a "crash" or an "upgrade" of the daemon, and ``mend`` it: what another guest is told that
    asks for the lock then. ``at_once`` is the longest that others may wait, in seconds. Raises
    TimeoutError if others are not answered meanwhile."""
    before = status(host)["since"]
    with guest(host, "web", lockspace) as web, guest(host, "other", lockspace, LOCAL) as other:
        web.acquire(lockspace, "held")
        for index in range(_BUSY):
            web.acquire(lockspace, f"let-go-{index}")
        for index in range(_BUSY):
            web.release(lockspace, f"let-go-{index}")
        cut()
        host.sh(f'kill -{"9" if how == "crash" else "USR1"} "$(pgrep -P "$(cat {PID_FILE})")"')
        if how == "crash":
            wait_for(lambda: status(host)["since"] != before, "the next process is there")
        assert longest_for(other, _SILENT_FOR) < at_once
        mend()
        wait_for(lambda: status(host)["since"] != before, "the next process is there")
        told = _refusal(other, lockspace, "held")
        for index in range(_BUSY):
            other.acquire(lockspace, f"let-go-{index}")
            other.release(lockspace, f"let-go-{index}")
        web.release(lockspace, "held")
    return told


def handed_back(
    host: Host, lockspace: str, *, cut: Callable[[], object], mend: Callable[[], object]
) -> tuple[int, str, list[str], str]:
    """``cut`` a host off that runs virtlockd and then lockd, hand back, and ``mend`` it: the exit
    status, what was said, the locks of lockd then, and what was said when it was handed back at
    last."""
    with guest(host, "web", lockspace) as web, guest(host, "other", LOCAL) as other:
        web.acquire(lockspace, "held")
        host.run(LOCKD, "takeover")
        cut()
        with host.popen(LOCKD, "handback", stdout=-1, stderr=-2) as process:
            while process.poll() is None:
                assert longest(other, 1) < AT_ONCE
            assert process.stdout is not None
            said = process.stdout.read()
        mend()
        locks = [lock["resource"] for lock in json.loads(host.run(LOCKD, "locks", "--json"))]
        over = host.run(LOCKD, "handback")
        assert "'held' is locked" in _refusal(other, lockspace, "held")
    return process.returncode, said, locks, over


@contextmanager
def _guest_process(host: Host, name: str) -> Iterator[dict[str, Any]]:
    """A process of the host, as a guest without locks."""
    command = ("sh", "-c", "cat /proc/$$/stat; exec sleep 600")
    with host.popen(*command, stdout=-1) as process:
        assert process.stdout is not None
        pid, _, left = process.stdout.readline().partition(" (")
        started = int(left.rpartition(") ")[2].split()[19])
        identity = f"{int(pid):032x}"
        yield {"name": name, "uuid": identity, "id": 1, "pid": int(pid), "started": started}
        host.sh('kill "$1"', pid)


@contextmanager
def _process(host: Host, pid: int) -> Iterator[None]:
    """A process of the host that gets a pid which is free again."""
    script = (
        "echo $(($1 - 1)) >/proc/sys/kernel/ns_last_pid; sleep 600 & echo $!; read -r end; kill $!"
    )
    for _ in range(20):
        with host.popen("sh", "-c", script, "sh", str(pid), stdin=-1, stdout=-1) as shell:
            assert shell.stdin is not None
            assert shell.stdout is not None
            if int(shell.stdout.readline()) == pid:
                yield
                return
    raise RuntimeError(f"no process of the host got the pid {pid}")


def _refusal(client: Client, lockspace: str, name: str) -> str:
    """What a client is told that asks for a lock; empty if it has it."""
    try:
        client.acquire(lockspace, name)
    except CallRefusedError as error:
        return str(error)
    return ""


@contextmanager
def guest(host: Host, name: str, *spaces: str, pid: int = 5004242) -> Iterator[Client]:
    """A guest that libvirt acts for."""
    with Client(host.path(SOCKET), timeout=PATIENCE) as client:
        client.register(name, pid)
        for space in spaces:
            client.create_lockspace(space)
        yield client


def status(host: Host) -> dict[str, Any]:
    """What ``lockd status`` asks for."""
    return _asked(host, STATUS)


def _asked(host: Host, procedure: int, arguments: bytes = b"") -> dict[str, Any]:
    """The answer to a call of the admin socket."""
    with Client(host.path(ADMIN_SOCKET), timeout=_RECOVERY) as client:
        reply = client.call(procedure, arguments, program=PROGRAM)
    answer: dict[str, Any] = json.loads(Reader(reply).string(MAX_ERROR))
    return answer


def _problems(host: Host) -> list[dict[str, str]]:
    problems: list[dict[str, str]] = status(host)["problems"]
    return problems


def wait_for(condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"this has not come true in {patience:.0f} s: {what}")
        time.sleep(0.02)


def longest(client: Client, count: int = 50) -> float:
    """How long the longest of some calls takes that need nothing of the file system, in seconds."""
    took = []
    for index in range(count):
        begun = time.monotonic()
        client.acquire(LOCAL, f"disk-{index}")
        client.release(LOCAL, f"disk-{index}")
        took.append(time.monotonic() - begun)
    return max(took)


def longest_for(client: Client, seconds: float) -> float:
    """The same, of calls for so long."""
    until = time.monotonic() + seconds
    took = 0.0
    while time.monotonic() < until:
        took = max(took, longest(client, 1))
    return took


def waits(client: Client) -> bool:
    """Whether a client has no answer yet."""
    client.socket.settimeout(0.3)
    try:
        client.reply()
    except TimeoutError:
        return True
    finally:
        client.socket.settimeout(PATIENCE)
    return False
