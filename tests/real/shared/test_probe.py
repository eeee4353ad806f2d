"""What a probe shows of real hosts is so: on GlusterFS, with locks and without, on directories that
only look shared, with hosts that hang or die, carried by files and by ssh."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.real.shared.gluster import CLIENT_PID_FILE, MOUNT, gluster_network
from tests.real.shared.rounds import Rounds, by_path, findings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

    from tests.conftest import RunLockcfg
    from tests.real.shared.hosts import Host, Network

LOCKS: Final = f"{MOUNT}/locks"
IMAGES: Final = f"{MOUNT}/images"

#: A directory that every host has for itself, by the same path.
OWN: Final = "/mnt/own"

#: A directory of the server that the hosts have mounted with sshfs.
SSHFS: Final = "/mnt/sshfs"

_CONF: Final = f"""
mkdir -p {OWN} /run/etc
mount --bind "$1" /etc/libvirt
"""


@pytest.fixture(scope="module")
def etc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """libvirt's files: the locks are on the volume."""
    path = tmp_path_factory.mktemp("etc")
    (path / "qemu.conf").write_text('lock_manager = "lockd"\n')
    (path / "qemu-lockd.conf").write_text(f'file_lockspace_dir = "{LOCKS}"\n')
    return path


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Hosts that share a volume."""
    with gluster_network(tmp_path_factory.mktemp("gluster")) as hosts:
        yield hosts


@pytest.fixture(scope="module")
def hosts(network: Network, etc: Path) -> tuple[Host, Host]:
    """The two clients, with libvirt's files."""
    for client in network.clients:
        client.sh(_CONF, etc)
    network.clients[0].sh(f"mkdir -p {LOCKS} {IMAGES}")
    return network.clients


def codes(report: dict[str, Any]) -> set[str]:
    """The rules that found something."""
    return {finding["code"] for finding in report["findings"]}


def left(host: Host) -> str:
    """The scratch files and the processes that a probe has left on a host."""
    return host.sh(
        f"find {MOUNT} {OWN} -name '.lockcfg*'; ps ax -o args= | grep '[p]robe-hold' || :"
    ).strip()


def test_hosts_show_whom_they_exclude(
    hosts: tuple[Host, Host], tmp_path: Path, lockcfg: RunLockcfg
) -> None:
    """On the volume they do; what has the same path and is not shared is two directories; and
    nothing is left behind."""
    rounds = Rounds(lockcfg, tmp_path, hosts)
    rounds.make_plan(OWN, IMAGES)
    for held in rounds.hold():
        assert held["directories"] == {LOCKS: "", IMAGES: "", OWN: ""}
    snapshots = rounds.ask()
    report = findings(lockcfg, snapshots)
    shown = by_path(report)
    for path in (LOCKS, IMAGES):
        assert [row["hosts"] for row in shown[path]] == [["one", "two"]]
        assert shown[path][0]["seen"] == "yes"
    assert [row["hosts"] for row in shown[OWN]] == [["one"], ["two"]]
    assert not codes(report) & {"LA213", "LA214", "LA215"}
    rounds.end()
    assert [left(host) for host in hosts] == ["", ""]


def test_a_host_that_dies_shows_nothing(
    hosts: tuple[Host, Host], tmp_path: Path, lockcfg: RunLockcfg
) -> None:
    """Its locks are gone with its process. The audit does not take that for locks that do not
    exclude."""
    rounds = Rounds(lockcfg, tmp_path, hosts)
    rounds.make_plan(IMAGES)
    rounds.hold()
    hosts[1].sh("pkill -9 -f '[p]robe-hold'")
    with pytest.raises(RuntimeError, match="has ended"):
        rounds.ask(hosts[1])
    snapshots = rounds.ask(hosts[0])
    report = findings(lockcfg, snapshots)
    told = json.loads((snapshots / "one.json").read_text())["evidence"]
    assert {row["seen"] for row in report["probe"]} == {"yes"}, told
    assert {tuple(row["hosts"]) for row in report["probe"]} == {("one",)}
    assert "LA215" in codes(report)
    assert "LA213" not in codes(report)
    rounds.end()
    assert [left(host) for host in hosts] == ["", ""]


def test_locks_are_let_go_in_time(
    hosts: tuple[Host, Host], tmp_path: Path, lockcfg: RunLockcfg
) -> None:
    """A probe that no command ends ends itself, and a later question gets an error."""
    rounds = Rounds(lockcfg, tmp_path, hosts)
    rounds.make_plan(seconds=1)
    rounds.hold()
    deadline = time.monotonic() + 20
    while any(left(host) for host in hosts):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with pytest.raises(RuntimeError, match="has ended"):
        rounds.ask(hosts[0])


def test_hosts_that_go_through_it_one_by_one_show_nothing(
    hosts: tuple[Host, Host], tmp_path: Path, lockcfg: RunLockcfg
) -> None:
    """A host that asks before the other holds is refused: its questions are of other locks."""
    rounds = Rounds(lockcfg, tmp_path, hosts)
    rounds.make_plan()
    rounds.ask_for([rounds.step(hosts[0], "hold")])
    alone = rounds.ask(hosts[0])
    rounds.end()
    rounds.ask_for([rounds.step(hosts[1], "hold")])
    rounds.ask(hosts[1])
    rounds.end()
    # Two rounds: their files may have had one name after the other.
    report = findings(lockcfg, alone)
    assert {tuple(row["hosts"]) for row in report["probe"]} == {("one",), ("two",)}
    assert not codes(report) & {"LA213", "LA214"}


def test_a_file_system_that_hangs_is_given_up(
    hosts: tuple[Host, Host], tmp_path: Path, lockcfg: RunLockcfg
) -> None:
    """The client of one host is stopped: that host says so in seconds, and of its own directories
    it says what it sees."""
    rounds = Rounds(lockcfg, tmp_path, hosts)
    rounds.make_plan(OWN, IMAGES)
    client = hosts[1].path(CLIENT_PID_FILE).read_text().strip()
    hosts[1].sh(f"kill -STOP {client}")
    try:
        started = time.monotonic()
        held = rounds.hold()[1]["directories"]
        assert time.monotonic() - started < 25
        assert held == {OWN: "", IMAGES: "no answer"}
    finally:
        hosts[1].sh(f"kill -CONT {client}")
    report = findings(lockcfg, rounds.ask())
    assert {row["seen"] for row in by_path(report)[IMAGES]} == {"yes"}
    assert [row["hosts"] for row in by_path(report)[IMAGES]] == [["one"]]
    assert "LA215" in codes(report)
    rounds.end()


_SSHD: Final = """
mkdir -p /run/sshd
/usr/sbin/sshd -f "$1/sshd_config" -o PidFile=/run/sshd.pid
"""
_MOUNT: Final = f'mkdir {SSHFS}; sshfs -F "$1/ssh_config" server:/run/export {SSHFS}'


def write_ssh(directory: Path, hosts: tuple[Host, ...]) -> str:
    """Keys and configuration of both sides; the command that reaches the hosts."""
    for key in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / key)]
        subprocess.run(command, check=True)
    (directory / "sshd_config").write_text(
        f"HostKey {directory}/host\nAuthorizedKeysFile {directory}/user.pub\n"
        "PermitRootLogin yes\nStrictModes no\nUsePAM no\nSubsystem sftp internal-sftp\n"
    )
    (directory / "ssh_config").write_text(
        "".join(f"Host {host.name}\n  HostName {host.address}\n" for host in hosts)
        + f"Host *\n  User root\n  IdentityFile {directory}/user\n  BatchMode yes\n"
        "  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n"
        "  ConnectTimeout 5\n"
    )
    return f"ssh -F {directory}/ssh_config"


def test_a_probe_over_ssh(network: Network, hosts: tuple[Host, Host], tmp_path: Path) -> None:
    """The real sshd on each host, a directory that looks shared and carries no locks, and a host
    that is not there."""
    ssh = write_ssh(tmp_path, (*hosts, network.server))
    network.server.sh(f"{_SSHD}mkdir /run/export", tmp_path)
    for host in hosts:
        host.sh(f"{_SSHD}{_MOUNT}", tmp_path)
    program = Path(sys.executable).with_name("lockcfg")
    words = [str(program), "probe", "--ssh", ssh, "--python", sys.executable]
    words += ["--directory", OWN, "--directory", SSHFS]
    snapshots = tmp_path / "snapshots"
    process = network.server.popen(
        *words,
        *("--hosts", "one", "--hosts", "two", "--hosts", "nowhere", "--output", snapshots),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = process.communicate(timeout=120)
    assert f"{LOCKS}: one, two see each other's locks" in out
    # sshfs grants each host the same lock.
    assert f"{SSHFS}: one and two do not see each other's locks" in out
    assert f"{OWN}: one, two each have one of their own" in out
    assert "nowhere: " in err
    assert process.returncode == 1
    assert sorted(path.name for path in snapshots.iterdir()) == ["one.json", "two.json"]
    assert [left(host) for host in hosts] == ["", ""]
