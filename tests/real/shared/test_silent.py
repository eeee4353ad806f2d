"""A file system that is silent for a while, as that of a server that is away: only who needs it
waits. The volume's client on this host is stopped, and goes on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lockd.programs.inspect import PROGRAM, STATUS
from lockd.remote import PATIENCE
from lockd.wire.xdr import Reader
from tests.lockd.client import (
    ACQUIRE,
    AUTOCREATE,
    MAX_ERROR,
    RELEASE,
    CallRefusedError,
    Client,
    resource,
)
from tests.real.shared.daemons import ADMIN_SOCKET, LOCKD, LOG, PID_FILE, SOCKET, lock_daemons
from tests.real.shared.gluster import CLIENT_PID_FILE, MOUNT, gluster_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.real.shared.hosts import Host

SHARED = f"{MOUNT}/lockspace"
LOCAL = "/run/lockspace"

#: The longest that a call of one who does not need the file system may take, in seconds.
_AT_ONCE = 1.0


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host that has a volume mounted."""
    with gluster_network(tmp_path_factory.mktemp("gluster")) as network:
        yield network.clients[0]


@pytest.fixture
def host(one: Host) -> Iterator[Host]:
    """The same, with a lockd that has a lockspace on the volume and one beside it, and looks at
    its locks only when it is told to."""
    with lock_daemons([one], [LOCKD], "--check-interval=0"):
        try:
            yield one
        finally:
            signal_volume(one, "CONT")


def signal_volume(host: Host, name: str) -> None:
    """Stop the volume's client, or have it go on."""
    host.sh(f'kill -"$1" "$(cat {CLIENT_PID_FILE})"', name)


@contextmanager
def silence(host: Host) -> Iterator[None]:
    """The volume is silent."""
    time.sleep(0.3)  # what it said before does not count any more
    signal_volume(host, "STOP")
    yield
    signal_volume(host, "CONT")


@contextmanager
def guest(host: Host, name: str, *spaces: str) -> Iterator[Client]:
    """A guest that libvirt acts for."""
    with Client(host.path(SOCKET), timeout=60) as client:
        client.register(name, 4242)
        for space in spaces:
            client.create_lockspace(space)
        yield client


def status(host: Host) -> dict[str, Any]:
    """What ``lockd status`` asks for."""
    with Client(host.path(ADMIN_SOCKET), timeout=_AT_ONCE) as client:
        answer: dict[str, Any] = json.loads(
            Reader(client.call(STATUS, program=PROGRAM)).string(MAX_ERROR)
        )
    return answer


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def longest(client: Client, count: int = 50) -> float:
    """How long the longest of some calls takes that need nothing of the volume, in seconds."""
    took = []
    for index in range(count):
        begun = time.monotonic()
        client.acquire(LOCAL, f"disk-{index}")
        client.release(LOCAL, f"disk-{index}")
        took.append(time.monotonic() - begun)
    return max(took)


def waits(client: Client) -> bool:
    """Whether a client has no answer yet."""
    client.socket.settimeout(0.3)
    try:
        client.reply()
    except TimeoutError:
        return True
    finally:
        client.socket.settimeout(60)
    return False


def ask_for(client: Client, name: str) -> None:
    """Ask for a lock on the volume, and do not wait for the answer."""
    client.send(ACQUIRE, resource(SHARED, name, AUTOCREATE))


def test_only_who_needs_it_waits(host: Host) -> None:
    """Others are answered at once, the daemon says what is wrong, and in the end all have what
    they asked for."""
    with guest(host, "web", SHARED) as web, guest(host, "db", SHARED, LOCAL) as db:
        db.acquire(SHARED, "held")
        with silence(host):
            ask_for(web, "disk")
            db.send(RELEASE, resource(SHARED, "held", 0))
            assert waits(web)
            assert waits(db)
            with guest(host, "other") as other:
                assert longest(other) < _AT_ONCE
            assert not status(host)["problems"]
            wait_for(lambda: bool(status(host)["problems"]), "it is told")
            (problem,) = status(host)["problems"]
            assert problem["path"] == MOUNT
            assert "has not answered for" in problem["problem"]
            table = subprocess.run(
                host.command(LOCKD, "status"), stdout=subprocess.PIPE, text=True, check=False
            )
            assert table.returncode == 1
            assert f"DANGER: {MOUNT}: the file system has not answered" in table.stdout
            assert waits(web)
            assert waits(db)
        web.reply()
        db.reply()
        assert not status(host)["problems"]
        with pytest.raises(CallRefusedError, match="by guest 'web'"):
            db.acquire(SHARED, "disk")
    log = host.path(LOG).read_text()
    assert f"{MOUNT}: the file system does not answer" in log
    assert f"{MOUNT}: the file system answers again" in log


def test_calls_one_after_the_other(host: Host) -> None:
    """What a client sends while it waits is answered afterwards, in its order."""
    with guest(host, "web", SHARED, LOCAL) as web, guest(host, "other") as other:
        with silence(host):
            web.send(ACQUIRE, resource(LOCAL, "first", AUTOCREATE))
            for name in ("a", "b", "a"):
                ask_for(web, name)
            web.reply()
            assert waits(web)
            ask_for(web, "c")
            assert waits(web)
            assert longest(other) < _AT_ONCE
        web.reply()
        web.reply()
        with pytest.raises(CallRefusedError, match="'a' is locked"):
            web.reply()
        web.reply()


def test_a_client_that_does_not_wait(host: Host) -> None:
    """Who hangs up is gone at once, and what it asked for is not done."""

    def clients() -> int:
        connected: int = status(host)["clients"]["virtlockd"]["connected"]
        return connected

    with guest(host, "db", SHARED) as db:
        with silence(host):
            with guest(host, "web") as web:
                ask_for(web, "disk")
                assert waits(web)
                assert clients() == 2
            wait_for(lambda: clients() == 1, "it is gone")
        db.acquire(SHARED, "disk")


@pytest.mark.parametrize("how", ["crash", "upgrade"])
def test_the_next_process(host: Host, how: str) -> None:
    """Knows who waits, and for what."""
    with guest(host, "web", SHARED) as web, guest(host, "db", LOCAL) as db:
        db.acquire(LOCAL, "disk")
        with silence(host):
            before = status(host)
            ask_for(web, "one")
            ask_for(web, "two")
            assert waits(web)
            if how == "crash":
                host.sh(f'kill -9 "$(pgrep -P "$(cat {PID_FILE})")"')
            else:
                host.sh(f'kill -USR1 "$(pgrep -P "$(cat {PID_FILE})")"')
            wait_for(lambda: status(host)["since"] != before["since"], "the next one is there")
            assert longest(db) < _AT_ONCE
            assert waits(web)
        web.reply()
        web.reply()
        with pytest.raises(CallRefusedError, match="by guest 'web'"):
            db.acquire(SHARED, "two")


def test_a_guest_that_ends(host: Host) -> None:
    """Its locks elsewhere are free, and those there as soon as they can be; also for the next
    process. One that is as good as ended when the daemon ends keeps nobody."""
    arguments = (sys.executable, "-m", "tests.lockd.guest", SOCKET)
    with guest(host, "next", SHARED, LOCAL) as other:
        process = host.popen(*arguments, SHARED, "disk", stdin=-1, stdout=-1, cwd=Path.cwd())
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "holds\n"
            with silence(host):
                assert process.stdin is not None
                process.stdin.close()
                process.wait()
                assert longest(other) < _AT_ONCE
                with pytest.raises(CallRefusedError, match="'disk' is locked by guest 'guest'"):
                    other.acquire(SHARED, "disk")
                host.sh(f'kill -USR1 "$(pgrep -P "$(cat {PID_FILE})")"')
                assert longest(other) < _AT_ONCE
        wait_for(lambda: not status(host)["locks"], "all is let go")
        other.acquire(SHARED, "disk")


def test_the_start(host: Host) -> None:
    """A daemon with a lockspace there serves others before the volume answers."""
    host.sh(
        """
        mount -t tmpfs tmpfs /etc/libvirt
        echo 'lock_manager = "lockd"' >/etc/libvirt/qemu.conf
        echo "file_lockspace_dir = \\"$1\\"" >/etc/libvirt/qemu-lockd.conf
        """,
        SHARED,
    )
    try:
        with guest(host, "web", LOCAL) as web, silence(host):
            host.sh(f'kill -9 "$(pgrep -P "$(cat {PID_FILE})")"')
            wait_for(lambda: SHARED in status(host)["lockspaces"], "it has read the configuration")
            assert longest(web) < _AT_ONCE
    finally:
        host.sh("umount /etc/libvirt")


def test_how_long_it_is_waited_for() -> None:
    """The tests here take that long."""
    assert PATIENCE <= 5
