"""The daemon is killed, and no lock, no owner and no connection is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.lockd.client import ACQUIRE, AUTOCREATE, CallRefusedError, Client, resource
from tests.lockd.engine import Engine, wait_for

if TYPE_CHECKING:
    from pathlib import Path

GUESTS = 1000

#: Tries to lock every file in a directory, again and again, and tells of each success.
THIEF = """
import fcntl, os, sys
os.chdir(sys.argv[1])
fds = {name: os.open(name, os.O_RDWR) for name in os.listdir()}
print(len(fds), flush=True)
rounds = 0
while os.path.exists(sys.argv[2]):
    for name, fd in fds.items():
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
        except BlockingIOError:
            continue
        print("got", name, flush=True)
    rounds += 1
print("rounds", rounds, flush=True)
"""


def guests_of(engine: Engine, number: int) -> list[Client]:
    """Guests that hold a lock each, by a connection that stays open."""
    found = []
    for index in range(number):
        client = engine.client()
        client.register(f"guest-{index}", 1_000_000 + index)
        client.acquire(engine.lockspace, f"disk-{index}")
        found.append(client)
    return found


def test_no_lock_is_free_for_an_instant(tmp_path: Path) -> None:
    """With a thousand guests connected, while another process keeps trying; and all of them can
    go on: each connection, each owner."""
    running = tmp_path / "running"
    running.touch()
    with Engine(tmp_path, files={"virtlockd.conf": "max_clients = 2000\n"}) as engine:
        guests = guests_of(engine, GUESTS)
        thief = subprocess.Popen(
            [sys.executable, "-c", THIEF, engine.lockspace, running],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert thief.stdout is not None
        assert thief.stdout.readline() == f"{GUESTS}\n"
        for _ in range(3):
            engine.crash()
        running.unlink()
        output, _ = thief.communicate(timeout=30)
        assert "got" not in output
        assert int(output.split()[-1]) > 3
        locks = engine.ask("locks")
        assert [lock["owners"][0]["guest"] for lock in locks] == sorted(
            f"guest-{index}" for index in range(GUESTS)
        )
        for index, guest in enumerate(guests):
            with pytest.raises(CallRefusedError, match=f"guest 'guest-{index}'"):
                guest.acquire(engine.lockspace, f"disk-{index}")
            guest.release(engine.lockspace, f"disk-{index}")
        wait_for(lambda: not os.listdir(engine.lockspace), "all lock files are gone")


def test_calls_under_way(tmp_path: Path) -> None:
    """Of many clients that are calling, at most the one that was being served is disconnected. No
    call is answered twice, and none of the others is lost."""
    answered: list[int] = []
    lost: list[str] = []
    stop = threading.Event()

    def call_on(engine: Engine, index: int) -> None:
        client = engine.client()
        client.register("guest", 1_000_000 + index)
        count = 0
        try:
            while not stop.is_set():
                client.acquire(engine.lockspace, f"disk-{index}")
                client.release(engine.lockspace, f"disk-{index}")
                count += 1
        except (EOFError, OSError):
            lost.append(str(index))
        except CallRefusedError as error:
            lost.append(error.refused.message)
        answered.append(count)

    with Engine(tmp_path) as engine:
        threads = [threading.Thread(target=call_on, args=(engine, n)) for n in range(8)]
        for thread in threads:
            thread.start()
        crashes = 5
        for _ in range(crashes):
            time.sleep(0.2)
            engine.crash()
        time.sleep(0.2)
        stop.set()
        for thread in threads:
            thread.join(30)
    assert len(lost) <= crashes
    assert len(answered) == len(threads)
    assert sum(answered) > 100


def test_half_a_message(tmp_path: Path) -> None:
    """What came of a message before the crash is not lost with it."""
    from lockd.wire.message import CALL, OK, Header, pack_message

    with Engine(tmp_path) as engine:
        client = engine.client()
        client.register()
        message = pack_message(
            Header(0, 0xEA7BEEF, 1, ACQUIRE, CALL, 7, OK),
            resource(engine.lockspace, "disk", AUTOCREATE),
        )
        for at in (1, 20, 40, len(message) - 1):
            client.socket.sendall(message[:at])
            time.sleep(0.05)
            engine.crash()
            client.socket.sendall(message[at:])
            client.reply()
            client.release(engine.lockspace, "disk")


def test_a_restricted_client_stays_restricted(tmp_path: Path) -> None:
    """What a client has given up it does not get back."""
    with Engine(tmp_path) as engine, engine.client() as client:
        client.register()
        client.restrict()
        engine.crash()
        with pytest.raises(CallRefusedError, match="has been restricted"):
            client.acquire(engine.lockspace, "disk")


def test_a_guest_that_ends_meanwhile(tmp_path: Path) -> None:
    """It releases its locks when the daemon is back."""
    guest = "; ".join(
        (
            "import sys",
            "from tests.lockd.client import Client",
            "client = Client(sys.argv[1])",
            "client.register('guest')",
            "client.acquire(sys.argv[2], 'disk')",
            "print('holds', flush=True)",
            "sys.stdin.read()",
        )
    )
    with (
        Engine(tmp_path) as engine,
        subprocess.Popen(
            [sys.executable, "-c", guest, engine.socket, engine.lockspace],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == b"holds\n"
        os.kill(engine.process.pid, signal.SIGSTOP)  # so that no new daemon comes up yet
        os.kill(engine.pid, signal.SIGKILL)
        process.kill()
        process.wait()
        os.kill(engine.process.pid, signal.SIGCONT)
        client = engine.client()
        client.register("other", 5004242)
        client.acquire(engine.lockspace, "disk")


def test_shared_locks_and_lockspaces(tmp_path: Path) -> None:
    """Every acquisition counts afterwards as before, and a lockspace is known."""
    with Engine(tmp_path) as engine, engine.client() as one, engine.client() as two:
        one.register("one", 5004242)
        two.register("two", 5004343)
        one.acquire(engine.lockspace, "disk", AUTOCREATE | 1)
        one.acquire(engine.lockspace, "disk", AUTOCREATE | 1)
        two.acquire(engine.lockspace, "disk", AUTOCREATE | 1)
        two.release(engine.lockspace, "disk")
        engine.crash()
        with pytest.raises(CallRefusedError, match="owner 5004343 does not hold"):
            two.release(engine.lockspace, "disk")
        one.release(engine.lockspace, "disk")
        with pytest.raises(CallRefusedError, match="is locked by guest 'one'"):
            two.acquire(engine.lockspace, "disk")
        one.release(engine.lockspace, "disk")
        with pytest.raises(CallRefusedError, match="is not locked"):
            one.release(engine.lockspace, "disk")


def test_thousands_of_acquisitions_of_one_disk(tmp_path: Path) -> None:
    """By one client and then by many: each counts after a crash, they are no burden for others,
    and a refusal names some of them."""
    with Engine(tmp_path) as engine, engine.client() as client, engine.client() as other:
        client.register("first", 5004000)
        for _ in range(3000):
            client.acquire(engine.lockspace, "disk", AUTOCREATE | 1)
        client.release(engine.lockspace, "disk")
        for index in range(1, 10):
            client.register(f"guest-{index}", 5004000 + index)
            client.acquire(engine.lockspace, "disk", AUTOCREATE | 1)
        other.register("other", 5005000)
        engine.crash()
        with pytest.raises(CallRefusedError) as caught:
            other.acquire(engine.lockspace, "disk")
        assert "by guest 'first' (uuid " in str(caught.value)
        assert " and guest 'guest-3' (uuid " in str(caught.value)
        assert ") and others on this host since " in str(caught.value)
        assert "guest-4" not in str(caught.value)
        client.register("first", 5004000)
        for _ in range(2999):
            client.release(engine.lockspace, "disk")
        with pytest.raises(CallRefusedError, match="owner 5004000 does not hold"):
            client.release(engine.lockspace, "disk")
        (lock,) = engine.ask("locks")
        assert [owner["pid"] for owner in lock["owners"]] == [*range(5004001, 5004010)]


def test_a_configuration_that_has_gone_bad(tmp_path: Path) -> None:
    """Does not keep the daemon from going on."""
    with Engine(tmp_path, files={"virtlockd.conf": "max_clients = 7\n"}) as engine:
        (tmp_path / "etc/virtlockd.conf").write_text("max_clients = seven\n")
        engine.crash()
        assert engine.ask("status")["clients"]["virtlockd"]["max"] == 7
        assert "virtlockd.conf:1:15: expecting a value" in engine.log


def test_after_a_lock_that_was_taken_anew(tmp_path: Path) -> None:
    """Because its file was removed: it is held, whatever had its number in the journal before."""
    with Engine(tmp_path, "--check-interval", "0.1") as engine:
        client = engine.client()
        client.register("guest", 5004242)
        client.acquire(engine.lockspace, "before")
        client.acquire(engine.lockspace, "disk")
        client.release(engine.lockspace, "before")
        wait_for(lambda: not (engine.lockspace / "before").exists(), "its file is closed")
        (engine.lockspace / "disk").unlink()
        wait_for(lambda: "locked again" in engine.log, "the lock is taken again")
        engine.crash()
        assert [each["resource"] for each in engine.ask("locks")] == ["disk"]
        time.sleep(0.5)  # in which the file of a released lock is removed
        assert (engine.lockspace / "disk").exists()
        client.release(engine.lockspace, "disk")
