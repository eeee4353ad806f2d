"""What lockd makes of the configuration: errors, warnings, and lockspaces."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.lockd.engine import PROGRAM, Engine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

QEMU, LIBXL = "qemu.conf", "libxl.conf"


def checked(directory: Path, files: Mapping[str, str]) -> tuple[int, str]:
    """The exit status of ``lockd --check-config`` with these files and no others, and what it
    says."""
    for name, text in files.items():
        (directory / name).write_text(text)
    script = 'mount --bind "$1" /etc/libvirt && exec "$2" --check-config'
    done = subprocess.run(
        [
            *("unshare", "--mount", "--propagation", "private"),
            *("sh", "-c", script, "sh", directory, PROGRAM),
        ],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("files", "warnings"),
    [
        ({}, ["Nothing is locked: qemu.conf sets no lock_manager."]),
        ({QEMU: 'lock_manager = "nop"\n'}, ["Nothing is locked: lock_manager is nop"]),
        (
            {QEMU: 'lock_manager = "sanlock"\n'},
            ["is locked on this host: lock_manager is sanlock (/etc/libvirt/qemu.conf:1:16)."],
        ),
        ({QEMU: 'lock_manager = "lockd"\n'}, ["but not all of them against guests on other hosts"]),
        # What a driver without settings would do does not matter.
        (
            {LIBXL: 'lock_manager = "lockd"\n'},
            ["but not all of them against guests on other hosts"],
        ),
        (
            {QEMU: 'lock_manager = "lockd"\n', LIBXL: 'lock_manager = "nop"\n'},
            ["but not all of them", "lock_manager is nop (/etc/libvirt/libxl.conf:1:16)"],
        ),
        (
            {
                QEMU: 'lock_manager = "lockd"\n',
                "qemu-lockd.conf": 'file_lockspace_dir = "/dev/shm/files"\n',
            },
            ["against other guests of this host only", "on tmpfs, which no other host shares"],
        ),
        (
            {QEMU: 'lock_manager = "lockd"\n', "qemu-lockd.conf": "auto_disk_leases = 0\n"},
            [],
        ),
        # What has no effect.
        (
            {
                QEMU: 'lock_manager = "lockd"\n',
                "qemu-lockd.conf": "auto_disk_leases = 0\nauto_disk_lease = 1\n",
                "virtlockd.conf": "max_client = 7\n",
            },
            [
                "/etc/libvirt/qemu-lockd.conf:2:1: unknown setting 'auto_disk_lease'",
                "/etc/libvirt/virtlockd.conf:1:1: unknown setting 'max_client'",
            ],
        ),
    ],
)
def test_what_protects_nothing(
    files: Mapping[str, str], warnings: list[str], tmp_path: Path
) -> None:
    """It is accepted with warnings, each of them once."""
    status, said = checked(tmp_path, files)
    assert status == 0
    for warning in warnings:
        assert said.count(warning) == 1
    assert bool(said) == bool(warnings)
    assert all(line.startswith("lockd: warning: ") for line in said.splitlines())


@pytest.mark.parametrize(
    ("file", "text", "place"),
    [
        ("virtlockd.conf", "max_clients = 5\nlog_level = 9\n", "2:13: 'log_level' must be from"),
        ("qemu-lockd.conf", "file_lockspace_dir = /x\n", "1:22: expecting a value"),
        ("libxl-lockd.conf", "auto_disk_leases = 7\n", "1:20: 'auto_disk_leases' must be"),
        ("qemu.conf", 'lock_manager = "lockdd"\n', "1:16: 'lock_manager' cannot be 'lockdd'"),
    ],
)
def test_an_error_in_any_of_the_files(file: str, text: str, place: str, tmp_path: Path) -> None:
    """The log has it with its place, and nothing else."""
    status, said = checked(tmp_path, {file: text})
    assert status == 78
    assert said.startswith(f"lockd: /etc/libvirt/{file}:{place}")
    assert len(said.splitlines()) == 1


def test_a_lockspace_that_is_no_absolute_path(tmp_path: Path) -> None:
    """lockd warns of it, and does not use it."""
    files = {"qemu-lockd.conf": 'file_lockspace_dir = "relative"\n'}
    with Engine(tmp_path, files=files) as engine:
        assert "'file_lockspace_dir' must be an absolute path" in engine.log
        assert engine.ask("status")["lockspaces"] == [str(engine.lockspace)]


def test_lockspaces_of_the_configuration(tmp_path: Path) -> None:
    """lockd knows the settings of both drivers from the start, and logs warnings."""
    spaces = [tmp_path / name for name in ("one", "two", "three")]
    for each in spaces:
        each.mkdir()
    files = {
        "qemu.conf": 'lock_manager = "lockd"\n',
        "qemu-lockd.conf": (
            f'file_lockspace_dir = "{spaces[0]}"\nlvm_lockspace_dir = "{spaces[1]}"\n'
        ),
        "libxl-lockd.conf": f'scsi_lockspace_dir = "{spaces[2]}"\n',
    }
    with Engine(tmp_path, files=files) as engine, engine.client() as client:
        client.register("guest", 5004242)
        for each in spaces:
            client.acquire(each, "disk")
        assert "warning : locking.lock_daemon : Disks are locked" in engine.log
        assert set(map(str, spaces)) <= set(engine.ask("status")["lockspaces"])
