"""Whether sanlock's watchdog is on, by the files of a host; and what the commands say of it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from lockcfg.host.host import Host
from lockcfg.host.watchdog import watchdog_of
from tests.conftest import LOCKCFG

if TYPE_CHECKING:
    from pathlib import Path

CONF = "etc/sanlock/sanlock.conf"
DEBIAN = "etc/default/sanlock"
OFFS = [
    ({CONF: "use_watchdog = 0\n"}, f"{CONF}:1:16"),
    ({CONF: "use_watchdog = yes\n"}, f"{CONF}:1:16"),
    ({CONF: "use_watchdog = 1\nuse_watchdog = 0\n"}, f"{CONF}:2:16"),
    ({DEBIAN: 'enabled=1\nsanlock_opts="-w 0"\n'}, f"{DEBIAN}:2:14"),
    ({CONF: "use_watchdog = 1\n", DEBIAN: "sanlock_opts=-w\\ 0\n"}, f"{DEBIAN}:1:14"),
    ({"etc/sysconfig/sanlock": "SANLOCKOPTS='-U root -w 0'\n"}, "etc/sysconfig/sanlock:1:13"),
]
ONS = [
    {},
    {CONF: "use_watchdog = 1\n"},
    {CONF: " use_watchdog = 0\n"},
    {CONF: "use_watchdog = 0\nuse_watchdog = 1\n"},
    {DEBIAN: '#sanlock_opts="-w 0"\n'},
    {DEBIAN: 'sanlock_opts="-U root" # -w 0\n'},
    {CONF: "use_watchdog = 0\n", DEBIAN: "sanlock_opts='-w 1'\n"},
]


def host_with(root: Path, files: dict[str, str]) -> Host:
    """A host that sanlock protects, with these files besides."""
    libvirt = {
        "etc/libvirt/qemu.conf": 'lock_manager = "sanlock"\n',
        "etc/libvirt/qemu-sanlock.conf": "auto_disk_leases = 1\nhost_id = 4\n",
    }
    for name, text in {**libvirt, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Host(str(root))


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LOCKCFG, *words], capture_output=True, text=True)


@pytest.mark.parametrize(("files", "place"), OFFS)
def test_it_is_off(tmp_path: Path, files: dict[str, str], place: str) -> None:
    host = host_with(tmp_path, files)
    watchdog = watchdog_of(host)
    assert watchdog.used is False
    assert str(watchdog.place) == f"{tmp_path}/{place}"
    shown = run("show", "--root", tmp_path).stdout
    assert f"It runs without its watchdog ({tmp_path}/{place})" in shown
    validated = run("validate", "--root", tmp_path)
    assert validated.returncode == 1
    assert validated.stdout.count("[sanlock-without-watchdog]") == 1


@pytest.mark.parametrize("files", ONS)
def test_it_is_on(tmp_path: Path, files: dict[str, str]) -> None:
    host = host_with(tmp_path, files)
    assert watchdog_of(host).used is True
    assert "watchdog" not in run("show", "--root", tmp_path).stdout.partition("Protection")[2]


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_text("quiet_fail = 0\nuse_watchdog\n"),
        lambda path: path.mkdir(),
    ],
)
def test_nobody_can_tell(tmp_path: Path, make: object) -> None:
    """A line without a value has what was read before it; a directory cannot be read."""
    host = host_with(tmp_path, {})
    (tmp_path / CONF).parent.mkdir()
    assert callable(make)
    make(tmp_path / CONF)
    assert watchdog_of(host).used is None
    assert "guards them is unknown" in run("show", "--root", tmp_path).stdout


def test_a_host_that_lockd_protects_is_told_nothing_of_it(tmp_path: Path) -> None:
    host_with(tmp_path, {CONF: "use_watchdog = 0\n"})
    (tmp_path / "etc/libvirt/qemu.conf").write_text('lock_manager = "lockd"\n')
    assert "watchdog" not in run("show", "--root", tmp_path).stdout
