"""A file system that is silent for a while, as that of a server that is away: only who needs it
waits. On GlusterFS the volume's client is stopped, on NFS the cable pulled."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from tests.lockd.client import ACQUIRE, AUTOCREATE, RELEASE, CallRefusedError, resource
from tests.real.shared.daemons import LOCKD, PID_FILE, VIRTLOCKD, lock_daemons
from tests.real.shared.gluster import CLIENT_PID_FILE, MOUNT, gluster_network
from tests.real.shared.nfs import MOUNTS
from tests.real.shared.silence import (
    AT_ONCE,
    AT_ONCE_EMULATED,
    LOCAL,
    Silence,
    a_guest_ends,
    cut_in_the_middle,
    guest,
    handed_back,
    longest,
    others_go_on,
    status,
    the_next_process,
    wait_for,
    waits,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lockd.client import Client
    from tests.real.shared.hosts import Host
    from tests.real.shared.silence import Doing

SHARED = f"{MOUNT}/lockspace"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host that has a volume mounted."""
    with gluster_network(tmp_path_factory.mktemp("gluster")) as network:
        yield network.clients[0]


@pytest.fixture
def host(one: Host) -> Iterator[Host]:
    """The same, with a lockd that looks at its locks only when it is told to."""
    with lock_daemons([one], [LOCKD], "--check-interval=0"):
        try:
            yield one
        finally:
            signal_volume(one, "CONT")


def signal_volume(host: Host, name: str) -> None:
    """Stop the volume's client, whole: a thread that runs may answer still; or have it go on."""
    host.sh(f'kill -"$1" "$(cat {CLIENT_PID_FILE})"', name)
    if name == "STOP":
        pid = host.path(CLIENT_PID_FILE).read_text().strip()
        host.sh(
            'while grep -h "^State:" /proc/"$1"/task/*/status | grep -qv "T (stopped)"; do :; done',
            pid,
        )


@contextmanager
def silence(host: Host) -> Iterator[None]:
    """The volume is silent."""
    signal_volume(host, "STOP")
    yield
    signal_volume(host, "CONT")


def ask_for(client: Client, name: str) -> None:
    """Ask for a lock on the volume, and do not wait for the answer."""
    client.send(ACQUIRE, resource(SHARED, name, AUTOCREATE))


def assert_only_who_needs_it_waits(seen: Silence, mount: str, at_once: float = AT_ONCE) -> None:
    """Others were answered at once, the daemon said what is wrong, and in the end all had what
    they asked for."""
    assert seen.waited == [True] * 4
    assert seen.longest < at_once
    assert seen.path == mount
    assert "has not answered for" in seen.problem
    assert seen.command == 1
    assert f"DANGER: {mount}: the file system has not answered" in seen.shown
    assert "by guest 'web'" in seen.refused
    assert seen.over == []
    log = "\n".join(seen.log)
    assert f"{mount}: the file system does not answer" in log
    assert f"{mount}: the file system answers again" in log


def test_only_who_needs_it_waits(host: Host) -> None:
    """On GlusterFS."""
    cut, mend = partial(signal_volume, host, "STOP"), partial(signal_volume, host, "CONT")
    assert_only_who_needs_it_waits(others_go_on(host, SHARED, cut=cut, mend=mend), MOUNT)


@pytest.mark.parametrize("version", MOUNTS)
def test_only_who_needs_nfs_waits(nfs_silent: dict[str, Any], version: str) -> None:
    """On NFS."""
    seen = Silence(*nfs_silent[version]["others"])
    assert_only_who_needs_it_waits(seen, MOUNTS[version], AT_ONCE_EMULATED)


def assert_nobody_else_waited(took: float, wrong: list[str], at_once: float = AT_ONCE) -> None:
    """Whatever was under way when the host was cut off."""
    assert took < at_once
    assert wrong == []


@pytest.mark.parametrize("doing", ["calls", "ending", "asking", "adopting"])
def test_in_the_middle_of_calls(host: Host, doing: Doing, pytestconfig: pytest.Config) -> None:
    """A call that has begun when the volume falls silent waits, and only who needs the volume:
    also one that adopts a guest; also the release when a guest has ended; and who asks for the list
    of locks does not wait."""
    cut, mend = partial(signal_volume, host, "STOP"), partial(signal_volume, host, "CONT")
    random = Random(pytestconfig.getoption("seed"))
    for _ in range(20 if pytestconfig.getoption("exhaustive") else 2 if doing == "calls" else 1):
        moment = 0.2 * random.random()
        assert_nobody_else_waited(
            *cut_in_the_middle(host, SHARED, cut=cut, mend=mend, moment=moment, doing=doing)
        )


@pytest.mark.parametrize("version", MOUNTS)
def test_in_the_middle_of_calls_on_nfs(nfs_cuts: dict[str, Any], version: str) -> None:
    """The same."""
    for took, wrong in nfs_cuts[version]:
        assert_nobody_else_waited(took, wrong, AT_ONCE_EMULATED)


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
            assert longest(other) < AT_ONCE
        web.reply()
        web.reply()
        with pytest.raises(CallRefusedError, match="'a' is locked"):
            web.reply()
        web.reply()


def test_a_client_that_does_not_wait(host: Host) -> None:
    """A client that hangs up is gone at once, and its call is not carried out."""

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
            assert longest(db) < AT_ONCE
            assert waits(web)
        web.reply()
        web.reply()
        with pytest.raises(CallRefusedError, match="by guest 'web'"):
            db.acquire(SHARED, "two")


@pytest.mark.parametrize("how", ["crash", "upgrade"])
def test_the_next_process_with_a_lock(host: Host, how: str) -> None:
    """The kernel ends no process that has a file there open, before the volume answers: others are
    answered all the same, and what was held is held."""
    cut, mend = partial(signal_volume, host, "STOP"), partial(signal_volume, host, "CONT")
    told = the_next_process(host, SHARED, how=how, cut=cut, mend=mend)
    assert "'held' is locked by guest 'web'" in told


@pytest.mark.parametrize("version", MOUNTS)
def test_the_next_process_with_a_lock_on_nfs(nfs_silent: dict[str, Any], version: str) -> None:
    """The same: the last close of a file there waits for the server, and nothing else does."""
    for told in nfs_silent[version]["next"]:
        assert "'held' is locked by guest 'web'" in told


def test_handing_back(one: Host) -> None:
    """Is refused while the volume is silent, with the reason, and nothing has changed."""
    one.sh('mkdir -p "$@"', SHARED, LOCAL)
    cut, mend = partial(signal_volume, one, "STOP"), partial(signal_volume, one, "CONT")
    with lock_daemons([one], [VIRTLOCKD]):
        try:
            status, said, locks, over = handed_back(one, SHARED, cut=cut, mend=mend)
        finally:
            mend()
    assert status == 1
    assert f"{MOUNT}: the file system does not answer" in said
    assert "refused: nothing has changed" in said
    assert locks == ["held"]
    assert "handed back 1 lock of lockd" in over


def test_a_guest_that_ends(host: Host) -> None:
    """Its locks there are free as soon as they can be; those of another guest that has its pid by
    then stay."""
    cut, mend = partial(signal_volume, host, "STOP"), partial(signal_volume, host, "CONT")
    assert_it_lets_go(a_guest_ends(host, SHARED, cut=cut, mend=mend))


@pytest.mark.parametrize("version", MOUNTS)
def test_a_guest_that_ends_on_nfs(nfs_silent: dict[str, Any], version: str) -> None:
    """The same, and meanwhile the daemon is upgraded: the next process knows what to release.

    (On GlusterFS the upgrade itself waits, for files that are closed.)"""
    assert_it_lets_go(nfs_silent[version]["ended"])


def assert_it_lets_go(told: list[str]) -> None:
    """What others were told is right."""
    meanwhile, of_another = told
    assert "'disk' is locked by guest 'guest'" in meanwhile
    assert "'another' is locked by guest 'with its pid'" in of_another


@pytest.mark.parametrize("way", ["link", "directory", "above", "bind", "file", "description"])
def test_what_a_path_leads_to(host: Host, way: str) -> None:
    """A disk in a directory of this host that is, by a link, by one in its way, by a detour, or by
    a mount, on the volume; or of which a description is there that is on it: only who needs it
    waits, also for the release, and for the looking at its lock."""
    host.sh(
        """
        rm -rf /run/disks && mkdir -p "$1" /run/disks/sub && touch "$1/file"
        ln -s "$1/file" /run/disks/link
        ln -s "$1" /run/disks/directory
        mkdir /run/disks/bind && mount --bind "$1" /run/disks/bind
        touch /run/disks/file && mount --bind "$1/file" /run/disks/file
        mkdir -p /run/libvirt/qemu && ln -sfn "$1/file" /run/libvirt/qemu/described.xml
        """,
        SHARED,
    )
    disk = {
        "directory": "/run/disks/directory/file",
        "above": "/run/disks/sub/../directory/./file",
        "bind": "/run/disks/bind/file",
        "file": "/run/disks/file",
    }.get(way, "/run/disks/link")
    name = "described" if way == "description" else "web"
    space, lock = (LOCAL, "0" * 64) if way == "description" else ("", disk)
    try:
        with guest(host, name, LOCAL) as web, guest(host, "other", LOCAL) as other:
            with silence(host):
                web.send(ACQUIRE, resource(space, lock, AUTOCREATE if space else 0))
                assert longest(other) < AT_ONCE
                assert waits(web)
            web.reply()
            with silence(host):
                if not space:
                    web.send(RELEASE, resource(space, lock, 0))
                    assert longest(other) < AT_ONCE
                    assert waits(web)
                assert longest(other) < AT_ONCE
            if not space:
                web.reply()
    finally:
        host.sh("umount --lazy /run/disks/bind /run/disks/file; rm /run/libvirt/qemu/described.xml")


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
            assert longest(web) < AT_ONCE
    finally:
        host.sh("umount /etc/libvirt")
