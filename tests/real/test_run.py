"""``lockd run``: real QEMU under the locks of a real lock daemon, without libvirt."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.lockd.client import CallRefusedError
from tests.lockd.engine import PROGRAM, Engine, wait_for
from tests.lockd.qemu_images import make_images
from tests.real.moving_host import MovingHost, can_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QEMU = ("qemu-system-x86_64", "-nodefaults", "-display", "none", "-S", "-machine", "none")

Daemon = Engine | MovingHost


class RunHost:
    """A host that has a lock daemon, and what is run there."""

    def __init__(self, daemon: Daemon, directory: Path) -> None:
        self.daemon = daemon
        self.disk = directory / "disk"
        self.disk.write_bytes(bytes(1 << 20))

    @property
    def lock(self) -> Path:
        """The file that is locked for the disk."""
        name = hashlib.sha256(str(self.disk).encode()).hexdigest()
        return self.daemon.lockspace / name

    def command(self, *arguments: str | Path) -> list[str | Path]:
        """How lockd is called there."""
        enter = ("nsenter", "--target", str(self.daemon.process.pid), "--mount")
        return [*enter, PROGRAM, *arguments]

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            self.command("run", *arguments), capture_output=True, text=True, timeout=60
        )

    @contextmanager
    def running(self, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
        """It runs, and holds the lock."""
        process = subprocess.Popen(
            self.command("run", *arguments), stdin=subprocess.DEVNULL, text=True
        )
        try:
            wait_for(lambda: self.lock.exists() and not can_lock(self.lock), "it is locked")
            yield process
        finally:
            process.kill()
            process.wait()


def files(lockspace: Path) -> dict[str, str]:
    """The configuration of the host."""
    return {
        "qemu.conf": 'lock_manager = "lockd"\n',
        "qemu-lockd.conf": f'file_lockspace_dir = "{lockspace}"\n',
    }


@pytest.fixture(params=["lockd", "virtlockd"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunHost]:
    """A host with one of the two."""
    configuration = files(tmp_path / "lockspace")
    daemon: Daemon = (
        Engine(tmp_path, files=configuration)
        if request.param == "lockd"
        else MovingHost(tmp_path, files=configuration)
    )
    with daemon:
        yield RunHost(daemon, tmp_path)


def test_the_lock_is_held_as_long_as_qemu_runs(host: RunHost) -> None:
    drive = f"file={host.disk},format=raw,if=none"
    with host.running("--", *QEMU, "-name", "web", "-drive", drive) as process:
        refused = host.run("--", *QEMU, "-drive", drive)
        assert refused.returncode == 1
        assert "resource busy" in refused.stderr
        client = host.daemon.client()
        client.register("other", 5004242)
        with pytest.raises(CallRefusedError, match="is locked"):
            client.acquire(host.daemon.lockspace, host.lock.name)
        process.send_signal(signal.SIGTERM)  # QEMU ends as it was asked to
        assert process.wait(20) == 0
        wait_for(lambda: not host.lock.exists() or can_lock(host.lock), "it is let go")


def test_it_is_killed(host: RunHost) -> None:
    node = json.dumps({"driver": "file", "filename": str(host.disk), "node-name": "x"})
    with host.running("--", *QEMU, "-blockdev", node) as process:
        process.kill()
        assert process.wait(20) == -signal.SIGKILL
        wait_for(lambda: not host.lock.exists() or can_lock(host.lock), "it is let go")


def test_the_exit_status_is_the_commands(host: RunHost) -> None:
    assert host.run("--lock", host.disk, "--", "sh", "-c", "exit 7").returncode == 7
    assert host.run("--lock", host.disk, "--", "/nowhere").returncode == 127
    assert host.run("--lock", host.disk, "--", host.disk).returncode == 126
    dry = host.run("--dry-run", "--", *QEMU, "-hda", host.disk)
    assert (dry.returncode, dry.stdout) == (0, f"{host.disk}: {host.lock}\n")
    make_images(host.disk.parent)
    image, data = (host.disk.parent / name for name in ("image", "data"))
    dry = host.run("--dry-run", "--", *QEMU, "-hda", image)
    assert [line.partition(": ")[0] for line in dry.stdout.splitlines()] == [str(image), str(data)]
    assert host.run("--", "sh", "-c", "true").returncode == 2
    assert host.run("--", *QEMU).returncode == 2
    assert host.run("--", *QEMU, "-daemonize", "-hda", host.disk).returncode == 2
    assert host.run("--socket", "/nowhere", "--", *QEMU, "-hda", host.disk).returncode == 3


def test_nothing_is_meant_to_be_locked(tmp_path: Path) -> None:
    with Engine(tmp_path) as engine:
        result = RunHost(engine, tmp_path).run("--lock", "/d", "--", "true")
    assert result.returncode == 3
    assert "lock_manager is nop" in result.stderr


def test_a_disk_that_has_to_have_a_lease(tmp_path: Path) -> None:
    configuration = files(tmp_path / "lockspace")
    configuration["qemu-lockd.conf"] += "auto_disk_leases = 0\n"
    with Engine(tmp_path, files=configuration) as engine:
        host = RunHost(engine, tmp_path)
        result = host.run("--", *QEMU, "-hda", host.disk)
    assert result.returncode == 1
    assert "require_lease_for_disks" in result.stderr
