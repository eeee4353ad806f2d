"""What becomes of a guest whose lock is lost, on a file system of this host alone: its lock file is
replaced by what cannot be locked."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lockcfg import Mount, read_mounts
from lockd.kernel import freezer
from lockd.locks.deadline import deadline, leases_in
from tests.lockd.engine import PROGRAM, Engine, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

#: From a loss to the guest that stands still, in seconds.
END_TO_END = 10.0


@contextmanager
def guest() -> Iterator[subprocess.Popen[bytes]]:
    """A process that a lock is for."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        try:
            yield process
        finally:
            process.kill()


def state(process: subprocess.Popen[bytes]) -> str:
    """The state of a process, as proc(5) has it."""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]


def lose(engine: Engine, name: str) -> None:
    """Have a FIFO in the place of a lock file."""
    (engine.lockspace / name).unlink()
    os.mkfifo(engine.lockspace / name)


def describe(engine: Engine, name: str, pid: int, on_lockfailure: str) -> None:
    """What libvirt writes of a guest that runs."""
    directory = engine.run / "libvirt/qemu"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{name}.xml").write_text(
        f"<domstatus pid='{pid}'><domain type='kvm'><name>{name}</name>"
        f"<on_lockfailure>{on_lockfailure}</on_lockfailure></domain></domstatus>"
    )


def resume(engine: Engine, name: str) -> subprocess.CompletedProcess[str]:
    """``lockd resume``."""
    return subprocess.run(
        [PROGRAM, "resume", "--socket", engine.admin_socket, name],
        capture_output=True,
        text=True,
        timeout=30,
    )


def problems(engine: Engine) -> str:
    """What ``lockd status`` says is wrong."""
    return " ".join(each["problem"] for each in engine.ask("status")["problems"])


def test_a_guest_is_paused_until_a_person_says_otherwise(tmp_path: Path) -> None:
    """Also beyond a crash and an upgrade; others are untouched."""
    files = {"lockd.conf": 'on_lockfailure = "pause"\n'}
    with Engine(tmp_path, files=files) as engine, guest() as web, guest() as other:
        with engine.client() as client:
            client.register("web", web.pid)
            client.acquire(engine.lockspace, "disk")
        with engine.client() as client:
            client.register("other", other.pid)
            client.acquire(engine.lockspace, "another")
        begun = time.monotonic()
        lose(engine, "disk")
        wait_for(lambda: state(web) == "T", "it stands still")
        print(f"it stands still {time.monotonic() - begun:.1f} s after the loss")
        assert time.monotonic() - begun < END_TO_END
        assert "it is paused" in problems(engine)
        engine.crash()
        assert state(web) == "T"
        engine.upgrade()
        assert state(web) == "T"
        refused = resume(engine, "web")
        assert (refused.returncode, "is not held" in refused.stderr) == (1, True)
        (engine.lockspace / "disk").unlink()
        wait_for(lambda: "may have had it" in problems(engine), "it is locked anew")
        assert state(web) == "T"
        assert resume(engine, "web").returncode == 0
        assert state(web) == "S"
        assert problems(engine) == ""
        assert state(other) == "S"
        assert resume(engine, "other").returncode == 1


def test_who_says_what(tmp_path: Path) -> None:
    """A guest itself, then the lockspace, then the host."""
    conf = f'on_lockfailure = "pause"\non_lockfailure_in = [ "{tmp_path}/lockspace=kill" ]\n'
    with (
        Engine(tmp_path, files={"lockd.conf": conf}) as engine,
        guest() as killed,
        guest() as paused,
        guest() as ignored,
        engine.client() as client,
    ):
        describe(engine, "paused", paused.pid, "pause")
        describe(engine, "ignored", ignored.pid, "ignore")
        for name, process in (("killed", killed), ("paused", paused), ("ignored", ignored)):
            client.register(name, process.pid)
            client.acquire(engine.lockspace, name)
        for name in ("killed", "paused", "ignored"):
            lose(engine, name)
        wait_for(lambda: killed.poll() is not None, "it has been killed")
        wait_for(lambda: state(paused) == "T", "it stands still")
        wait_for(lambda: engine.log.count("DISK IN DANGER") >= 3, "all are told")
        assert state(ignored) == "S"


def test_nothing_is_done_by_default(tmp_path: Path) -> None:
    """But to say so."""
    with Engine(tmp_path, "--check-interval=0.1") as engine, guest() as web:
        with engine.client() as client:
            client.register("web", web.pid)
            client.acquire(engine.lockspace, "disk")
        lose(engine, "disk")
        wait_for(lambda: "DISK IN DANGER" in engine.log, "it is told")
        time.sleep(0.5)
        assert state(web) == "S"


def test_a_mistake_in_the_settings(tmp_path: Path) -> None:
    """It is told with its place, and nothing starts."""
    (tmp_path / "lockd.conf").write_text('on_lockfailure = "pase"\n')
    script = 'mount --bind "$1" /etc/libvirt && exec "$2" --check-config'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", tmp_path, PROGRAM],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 78
    assert "/etc/libvirt/lockd.conf:1:18: 'on_lockfailure' cannot be 'pase'" in done.stderr
    assert "did you mean 'pause'?" in done.stderr


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Path]:
    """An empty control group of version 2."""
    points = [mount.point for mount in read_mounts() if mount.type == "cgroup2"]
    own = ""
    if not points:
        own = str(tmp_path / "cgroup")
        os.mkdir(own)
        subprocess.run(["mount", "-t", "cgroup2", "none", own], check=True)
        points = [own]
    path = Path(points[0]) / f"lockd-test-{os.getpid()}"
    path.mkdir()
    yield path
    wait_for(lambda: not (path / "cgroup.procs").read_text(), "nobody is in it")
    path.rmdir()
    if own:
        subprocess.run(["umount", own], check=True)


def test_a_control_group_is_frozen(group: Path) -> None:
    """That of the guest alone; what it has frozen can be killed."""
    with guest() as process, guest() as beside:
        assert freezer.group_of(process.pid) == freezer.BY_SIGNAL
        (group / "cgroup.procs").write_text(str(process.pid))
        assert freezer.group_of(process.pid) == str(group)
        (group / "cgroup.procs").write_text(str(beside.pid))
        assert freezer.group_of(process.pid) == freezer.BY_SIGNAL
        beside.kill()
        beside.wait()
        fd = os.pidfd_open(process.pid)
        freezer.stop(fd, str(group))
        wait_for(lambda: freezer.is_stopped(process.pid, str(group)), "it is frozen")
        freezer.go_on(fd, str(group))
        wait_for(lambda: not freezer.is_stopped(process.pid, str(group)), "it goes on")
        freezer.stop(fd, str(group))
        os.close(fd)
        process.kill()
        assert process.wait(10) == -9


MOUNTSTATS = """\
device /dev/sda1 mounted on / with fstype ext4
device nas:/ mounted on /mnt/a\\040b with fstype nfs4 statvers=1.1
	opts:	rw,vers=4.2,hard
	nfsv4:	bm0=0xfdffbfff,acl=0x3,sessions,pnfs=not configured,lease_time=10,lease_expired=0
device nas:/x mounted on /mnt/c with fstype nfs statvers=1.1
"""


def test_how_long_a_server_waits() -> None:
    leases = leases_in(MOUNTSTATS)
    assert leases == {"/mnt/a b": 10.0}

    def limit(kind: str, point: str, *options: str) -> float | None:
        return deadline(Mount(point, kind, "nas:/", frozenset(options)), leases)

    assert limit("nfs4", "/mnt/a b", "vers=4.2") == pytest.approx(7.0)
    assert limit("nfs4", "/mnt/a b", "vers=4.0") == 1.0
    assert limit("nfs4", "/other", "vers=4.2") == pytest.approx(83.0)
    assert limit("nfs", "/mnt/c", "vers=3") is None
    assert limit("fuse.glusterfs", "/v") == pytest.approx(37.4)
    unknown = limit("fuse.of-nobody", "/v")
    assert unknown is not None
    assert unknown < 30
