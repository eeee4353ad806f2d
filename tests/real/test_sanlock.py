"""sanlock, libvirt's other lock manager: its plugin reads what our schema says, and two of its
daemons, each a host of its own, do what 'lockcfg show' and the linter say of them."""

from __future__ import annotations

import fcntl
import shlex
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from lockcfg.conf.files import QEMU_SANLOCK
from lockcfg.conf.load import parse
from lockcfg.rules import check
from tests.real.libvirtd_host import Host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Files of the plugin, and whether libvirtd starts with them.
FILES = [
    ("", True),
    ("auto_disk_leases = 0", True),
    ("auto_disk_leases = 1", False),
    ("host_id = 1\nauto_disk_leases = 1", True),
    ("auto_disk_leases = 1\nhost_id = 0", False),
    ("auto_disk_leases = 2", False),
    ("require_lease_for_disks = 0", True),
    ("require_lease_for_disks = 2", False),
    ("host_id = 2000", True),
    ("host_id = 2001", True),
    ("host_id = -1", False),
    ("host_id = 4294967296", False),
    ('host_id = "5"', False),
    ("disk_lease_dir = 1", False),
    ('disk_lease_dir = "relative"', True),
    ('disk_lease_dir = [ "/srv" ]', False),
    ("io_timeout = 0", True),
    ("io_timeout = 4294967295", True),
    ("io_timeout = 4294967296", False),
    ("io_timeout = -1", False),
    ('user = "root"\ngroup = "root"', True),
    ('user = ""', False),
    ("user = 0", False),
    ('group = ""', False),
    ("no_such_setting = 1", True),
]


@contextmanager
def two_hosts(directory: Path, preload: Path) -> Iterator[list[SanlockHost]]:
    """Two hosts that share a directory."""
    found: list[SanlockHost] = []
    try:
        for name in ("one", "two"):
            found.append(SanlockHost(directory, preload, name))
        yield found
    finally:
        for each in found:
            each.end()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    return Host(tmp_path_factory.mktemp("host"))


@pytest.mark.parametrize(("text", "starts"), FILES)
def test_the_plugin_reads_what_the_schema_says(host: Host, text: str, starts: bool) -> None:
    files = {"qemu.conf": 'lock_manager = "sanlock"\n'}
    if text:
        files["qemu-sanlock.conf"] = f"{text}\n"
    outcome = host.libvirtd(files)
    assert outcome.started == starts, outcome.log
    found = check(parse(f"{text}\n".encode() if text else b"", QEMU_SANLOCK, "qemu-sanlock.conf"))
    errors = [finding for finding in found if finding.severity == "error"]
    assert (not errors) == starts, errors


@pytest.mark.parametrize(("value", "right"), [(0, True), (1, True), (2, False)])
def test_the_plugin_reads_from_12_6_on_whose_leases_to_check(
    host: Host, value: int, right: bool
) -> None:
    """An older one takes anything."""
    text = f"check_disk_lease_owner = {value}\n"
    files = {"qemu.conf": 'lock_manager = "sanlock"\n', "qemu-sanlock.conf": text}
    outcome = host.libvirtd(files)
    assert outcome.started == (right or host.version() < (12, 6, 0)), outcome.log
    found = check(parse(text.encode(), QEMU_SANLOCK, "qemu-sanlock.conf"))
    assert [finding for finding in found if finding.severity == "error"] == [] or not right


#: Where a daemon may not raise its limit of locked memory, it ends; it locks none here.
_NO_LIMITS = "int setrlimit(int a, const void *b) { return 0; }\n"


def no_limits(directory: Path) -> Path:
    """A library that has a daemon run where its limits may not be raised."""
    source, preload = directory / "limits.c", directory / "limits.so"
    source.write_text(_NO_LIMITS)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", preload, source], check=True)
    return preload


class SanlockHost:
    """A sanlock daemon without a watchdog, with a /run of its own: to others another host."""

    def __init__(self, directory: Path, preload: Path, name: str) -> None:
        self._socket = directory / name
        self._socket.mkdir()
        script = (
            f"mount --bind {shlex.quote(str(self._socket))} /run\n"
            "mkdir -p /run/sanlock /run/lock\n"
            f"LD_PRELOAD={shlex.quote(str(preload))} exec sanlock daemon -D -w 0 -U root -G root"
            " -h 0 -l 0\n"
        )
        self._daemon = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(100):
            if not self.client("status").returncode:
                return
            time.sleep(0.1)
        raise RuntimeError("sanlock does not answer")

    def client(self, *words: str, seconds: int = 60) -> subprocess.CompletedProcess[str]:
        """Run ``sanlock client`` there."""
        return subprocess.run(
            ["nsenter", "--mount", f"--target={self._daemon.pid}", "sanlock", "client", *words],
            capture_output=True,
            text=True,
            timeout=seconds,
        )

    def holding(self, resource: str) -> subprocess.Popen[str]:
        """A process there that holds a lease, as QEMU does, for as long as its input is open."""
        return subprocess.Popen(
            [
                *("nsenter", "--mount", f"--target={self._daemon.pid}"),
                *("sanlock", "client", "command", "-r", resource),
                *("-c", "/bin/sh", "-c", "echo held; read line"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def end(self) -> None:
        """As when the power goes."""
        self._daemon.kill()
        self._daemon.wait()


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[SanlockHost]]:
    """Two hosts; and the lockspace and the lease of a disk, both empty, in ``tmp_path``."""
    preload = no_limits(tmp_path)
    for name, kind, what in (("space", "-s", "LS:0"), ("lease", "-r", "LS:disk")):
        path = tmp_path / name
        path.write_bytes(bytes(1 << 20))
        subprocess.run(
            ["sanlock", "direct", "init", kind, f"{what}:{path}:0", "-o", "1"],
            check=True,
            capture_output=True,
        )
    with two_hosts(tmp_path, preload) as found:
        yield found


def test_two_hosts_of_one_lockspace_exclude_each_other_and_lockd_does_not(
    hosts: list[SanlockHost], tmp_path: Path
) -> None:
    one, two = hosts
    for number, each in enumerate(hosts, 1):
        joined = each.client("add_lockspace", "-s", f"LS:{number}:{tmp_path}/space:0", "-o", "1")
        assert not joined.returncode, joined
    resource = f"LS:disk:{tmp_path}/lease:0"
    holder = one.holding(resource)
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert "held\n" in iter(holder.stdout.readline, "")
    refused = two.client("command", "-r", resource, "-c", "/bin/true")
    assert refused.returncode, refused
    # What lockd and virtlockd take is another kind of lock, and sanlock's lease is none of it.
    with open(tmp_path / "lease", "r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
    holder.communicate("\n")
    for _ in range(50):
        taken = two.holding(resource)
        output, _ = taken.communicate("\n")
        if "held" in output:
            return
        time.sleep(0.1)
    pytest.fail("the lease that was let go cannot be taken")


def test_two_hosts_with_one_number_cannot_both_join(
    hosts: list[SanlockHost], tmp_path: Path
) -> None:
    """What LK504 says. The second one waits for as long as the first one lives."""
    space = f"LS:1:{tmp_path}/space:0"
    assert not hosts[0].client("add_lockspace", "-s", space, "-o", "1").returncode
    with pytest.raises(subprocess.TimeoutExpired):
        hosts[1].client("add_lockspace", "-s", space, "-o", "1", seconds=8)
