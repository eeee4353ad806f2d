"""``lockcfg release``: which proof it takes, what it writes down, and that it frees nothing else.

What it does on a real NFS server: ``tests/real/shared/test_dead_host.py``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lockcfg.errors import UsageError
from lockcfg.host.storage import Mount
from lockcfg.release.gluster import holders_in
from lockcfg.release.own import is_this_host
from lockcfg.release.proof import NoProofError, proof_of, sentence, without_secrets
from lockcfg.release.release import advice_for, is_host
from lockcfg.release.signs import LivesError, watch_clients, watch_heartbeats
from lockcfg.who.nfs_server import NfsClient, client_of

if TYPE_CHECKING:
    from collections.abc import Sequence

LOCKCFG = Path(sys.executable).parent / "lockcfg"


def program(directory: Path, name: str, said: str, status: int) -> str:
    """A program that says something, and ends so."""
    path = directory / name
    path.write_text(f"#!/bin/sh\ncat <<'E'\n{said}\nE\nexit {status}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("said", "status", "holds"),
    [
        ("Status: OFF", 2, True),
        ("Status: ON", 0, False),
        ("Status: OFF", 1, False),
        ("", 127, False),
    ],
)
def test_a_fence_agent(tmp_path: Path, said: str, status: int, holds: bool) -> None:
    """It says by its exit status that the plug is off; whatever else happens is no proof."""
    agent = program(tmp_path, "fence_apc", said, status)
    command = [agent, "-a", "10.0.0.7", "-p", "secret", "-o", "status"]
    if not holds:
        with pytest.raises(NoProofError):
            proof_of("fence", "kvm07", "", command)
        return
    proof = proof_of("fence", "kvm07", "", command)
    assert proof.answer == said
    assert "secret" not in json.dumps(proof.record())


@pytest.mark.parametrize(
    "action", [[], ["-o", "off"], ["-o", "status", "-o", "reboot"], ["--action=on"], ["-o"]]
)
def test_a_fence_agent_is_only_ever_asked(tmp_path: Path, action: list[str]) -> None:
    """One that is told nothing would reboot; it is not even started."""
    started = tmp_path / "started"
    agent = tmp_path / "fence_apc"
    agent.write_text(f"#!/bin/sh\ntouch {started}\nexit 2\n")
    agent.chmod(0o755)
    with pytest.raises(UsageError, match="status"):
        proof_of("fence", "kvm07", "", [str(agent), *action])
    assert not started.exists()


@pytest.mark.parametrize(
    ("name", "words", "said", "holds"),
    [
        ("ipmitool", ["chassis", "power", "status"], "Chassis Power is off", True),
        ("ipmitool", ["chassis", "power", "status"], "Chassis Power is on", False),
        ("ipmitool", ["chassis", "power", "status"], "Chassis Power is off soon", False),
        ("curl", ["https://bmc/redfish/v1/Systems/1"], '{"PowerState": "Off"}', True),
        ("curl", ["https://bmc/redfish/v1/Systems/1"], '{"PowerState": "On"}', False),
        ("curl", ["https://bmc/redfish/v1/Systems/1"], "Off", False),
        ("curl", ["https://bmc/redfish/v1/Systems/1"], '["Off"]', False),
    ],
)
def test_a_power_controller(
    tmp_path: Path, name: str, words: list[str], said: str, holds: bool
) -> None:
    """It has to say it in its own words."""
    command = [program(tmp_path, name, said, 0), *words]
    if holds:
        assert proof_of("power", "kvm07", "", command).kind == "power"
    else:
        with pytest.raises(NoProofError):
            proof_of("power", "kvm07", "", command)


@pytest.mark.parametrize(
    "command",
    [
        ["ipmitool", "chassis", "power", "off"],
        ["curl", "-X", "POST", "https://bmc"],
        ["curl", "-d", "{}", "https://bmc"],
        ["sh", "-c", "echo Chassis Power is off"],
        ["true"],
        [],
    ],
)
def test_what_does_more_than_ask(command: list[str]) -> None:
    """It is wrong usage."""
    with pytest.raises(UsageError):
        proof_of("power", "kvm07", "", command)


@pytest.mark.parametrize(
    "word", ["", "yes", "I have seen that kvm08 is off", "i have seen that kvm07 is off"]
)
def test_a_word(word: str) -> None:
    """It counts letter by letter, with the name of the host in it."""
    with pytest.raises(NoProofError, match="word"):
        proof_of("word", "kvm07", word, [])
    assert proof_of("word", "kvm07", sentence("kvm07"), []).answer == sentence("kvm07")


def test_secrets_are_not_written_down() -> None:
    """Of the agents that take them on the command line."""
    for command in (
        ["fence_x", "-p", "secret"],
        ["fence_x", "--password=secret"],
        ["fence_x", "--password", "secret"],
        ["fence_x", "-psecret"],
        ["ipmitool", "-P", "secret"],
        ["ipmitool", "-Psecret"],
        ["curl", "-u", "root:secret"],
        ["curl", "--user", "root:secret"],
        ["curl", "-uroot:secret"],
    ):
        assert "secret" not in " ".join(without_secrets(command))
    assert without_secrets(["fence_x", "-a", "10.0.0.7"]) == ["fence_x", "-a", "10.0.0.7"]


def heartbeat(space: Path, host: str, *, age: float = 0.0, interval: float = 0.5) -> None:
    """Write one."""
    (space / ".hosts").mkdir(exist_ok=True)
    path = space / ".hosts" / host
    now = time.time() - age
    path.write_text(json.dumps({"host": host, "interval": interval, "time": now, "boot": ""}))
    os.utime(path, (now, now))


def test_a_heartbeat_that_comes(tmp_path: Path) -> None:
    """While it is waited for: the host lives, whatever was proved."""
    heartbeat(tmp_path, "kvm07", interval=20)
    said: list[str] = []
    timer = threading.Timer(0.5, heartbeat, (tmp_path, "kvm07"))
    timer.start()
    with pytest.raises(LivesError, match="has just written a heartbeat"):
        watch_heartbeats("kvm07", [str(tmp_path)], say=said.append)
    timer.join()
    assert "waiting" in said[0]


def test_a_heartbeat_that_does_not_come(tmp_path: Path) -> None:
    """It is waited for no longer than until it was due; where it is old already, not at all."""
    heartbeat(tmp_path, "kvm07", interval=0.5)
    begun = time.monotonic()
    (life,) = watch_heartbeats("kvm07", [str(tmp_path)], say=str)
    assert 1.5 < time.monotonic() - begun < 20
    heartbeat(tmp_path, "kvm07", age=3600)
    said: list[str] = []
    (life,) = watch_heartbeats("kvm07", [str(tmp_path)], say=said.append)
    assert (life.verdict, said) == ("stale", [])
    (life,) = watch_heartbeats("kvm08", [str(tmp_path)], say=said.append)
    assert (life.verdict, said) == ("unknown", [])


DUMP = """DUMP-START-TIME: 2026-11-29 22:48:35
[xlator.features.locks.locks.inode]
path=/ls/disk
mandatory=0
posixlk-count=2
posixlk.posixlk[0](ACTIVE)=type=WRITE, whence=0, start=0, len=1, pid = 31, owner=1324, client=0x7f, connection-id=CTX_ID:6f4c-GRAPH_ID:0-PID:15-HOST:kvm-07-PC_NAME:vol-client-0-RECON_NO:-0, granted at 2026-11-29 22:48:33 +0000
posixlk.posixlk[1](BLOCKED)=type=WRITE, whence=0, start=0, len=1, pid = 32, owner=1325, client=0x7e, connection-id=CTX_ID:6f4d-GRAPH_ID:0-PID:16-HOST:kvm-08-PC_NAME:vol-client-0-RECON_NO:-0, blocked at 2026-11-29 22:48:33 +0000
[xlator.features.locks.locks.inode]
path=/ls/both
posixlk.posixlk[0](ACTIVE)=type=READ, whence=0, start=0, len=1, pid = 31, owner=1324, client=0x7f, connection-id=CTX_ID:6f4c-GRAPH_ID:0-PID:15-HOST:kvm-07-PC_NAME:vol-client-0-RECON_NO:-0, granted at 2026-11-29 22:48:33 +0000
posixlk.posixlk[1](ACTIVE)=type=READ, whence=0, start=0, len=1, pid = 31, owner=1326, client=0x7d, connection-id=strange, granted at 2026-11-29 22:48:33 +0000
[conn.0.bound_xl.io-threads.active.2]
posixlk.posixlk[0](ACTIVE)=connection-id=x-HOST:kvm-09-PC_NAME:y
DUMP-END-TIME: 2026-11-29 22:48:35
"""  # noqa: E501 - as GlusterFS writes it


def test_what_a_brick_says_of_its_clients() -> None:
    """In its state dump: who is granted a lock, not who waits; and where it does not say."""
    assert holders_in(DUMP) == {"/ls/disk": {"kvm-07"}, "/ls/both": {"kvm-07", "?"}}
    assert holders_in("") == {}


INFO = """clientid: 0x9a5c2d6a6a3c0d3e
address: "[2001:db8::7]:823"
status: confirmed
seconds from last renew: 12
name: "Linux NFSv4.2 kvm07.example.com"
minor version: 2
"""
STATES = """- 0x01000000: { type: open, access: rw, superblock: "fe:01:131", filename: "a" }
- 0x02000000: { type: lock, superblock: "fe:01:131", owner: "lock id:\\x00" }
"""


def test_what_the_server_says_of_a_client() -> None:
    """As Linux 6.1 writes it."""
    client = client_of("7", INFO, STATES)
    assert (client.host, client.address, client.since) == ("kvm07.example.com", "2001:db8::7", 12)
    assert client.locked == client.opened == {"fe:1:131"}
    assert client_of("8", "", "").since is None


@pytest.mark.parametrize(
    ("name", "host", "same"),
    [
        ("Linux NFSv4.2 kvm07", "kvm07", True),
        ("Linux NFSv4.2 KVM07", "kvm07", True),
        ("Linux NFSv4.2 kvm07.example.com", "kvm07", True),
        ("Linux NFSv4.2 kvm07.example.com", "kvm07.example.org", False),
        ("Linux NFSv4.2 kvm070", "kvm07", False),
        ("Linux NFSv4.2 kvm07-old", "kvm07", False),
        ("", "", False),
    ],
)
def test_which_client_is_the_host(name: str, host: str, same: bool) -> None:
    """By its whole name."""
    assert is_host(NfsClient("1", name, "", None, "", (), ()), host) == same


@pytest.mark.parametrize(
    ("before", "after", "lives"),
    [(5, 6, False), (5, 0, True), (0, 0, True), (0, 1, False), (9, 9, True)],
)
def test_a_lease_that_is_renewed(before: int, after: int, lives: bool) -> None:
    """While it is looked at: the host lives. The kernel counts whole seconds."""

    def clients(since: int) -> Sequence[NfsClient]:
        return [NfsClient("1", "Linux NFSv4.2 kvm07", "10.0.0.7", since, "confirmed", (), ())]

    if lives:
        with pytest.raises(LivesError, match="renewed its lease"):
            watch_clients(clients(before), lambda: clients(after))
    else:
        assert watch_clients(clients(before), lambda: clients(after))


def test_what_is_to_be_done_elsewhere() -> None:
    """For each file system, by what frees the locks of one host, and says so where it is more."""

    def told(type: str, source: str) -> str:
        return advice_for("kvm07", Mount("/mnt", type, source, frozenset()))

    assert "on the NFS server nas" in told("nfs4", "nas:/srv")
    assert "those of living hosts too" in told("nfs", "nas:/srv")
    assert "clear-locks vol" in told("fuse.glusterfs", "g1:/vol")
    assert "evict" in told("fuse.ceph-fuse", "ceph-fuse")
    assert told("ext4", "/dev/sda1") == ""
    for each in ("nfs4", "nfs", "fuse.glusterfs", "ceph"):
        assert "rm " not in told(each, "x:/y")


def run(*arguments: str, status: int) -> str:
    """What the command says."""
    done = subprocess.run(
        [LOCKCFG, "release", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_nothing_is_done_without_the_word(tmp_path: Path) -> None:
    """Exit status 2 without --confirmed-dead, 1 without a proof that holds; nothing is recorded."""
    record = tmp_path / "record"
    common = ("--host", "kvm07", "--audit-file", str(record))
    said = run(*common, "--proof", "word", "--word", sentence("kvm07"), status=2)
    assert "not confirmed to be off" in said
    said = run(*common, "--confirmed-dead", "--proof", "word", status=1)
    assert sentence("kvm07") in said
    assert not record.exists()


@pytest.mark.parametrize("name", ["", " ", "*", "../etc", "a b", "a\nb", "a..b", ".", "-x"])
def test_what_is_no_name_of_a_host(name: str) -> None:
    said = run(f"--host={name}", "--confirmed-dead", "--proof", "word", "--word", "x", status=2)
    assert "is not the name or the address of a host" in said


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("localhost", ""),
        ("127.0.0.1", ""),
        ("kvm07.invalid", "127.0.0.1"),
        (f"{os.uname().nodename.upper()}.", ""),
        (f"{os.uname().nodename.partition('.')[0]}", ""),
    ],
)
def test_other_names_of_this_host(name: str, address: str) -> None:
    assert is_this_host(name, address)


def test_names_of_other_hosts() -> None:
    assert not is_this_host("kvm07.invalid", "")
    assert not is_this_host("kvm07.invalid", "192.0.2.7")
    assert not is_this_host(f"{os.uname().nodename}-2", "192.0.2.7")


def test_this_host_lives(tmp_path: Path) -> None:
    """Whatever is said of it."""
    me = os.uname().nodename
    record = str(tmp_path / "record")
    proof = ("--proof", "word", "--word", sentence(me), "--audit-file", record)
    assert "this very host" in run("--host", me, "--confirmed-dead", *proof, status=1)


def test_where_nothing_can_be_done_from_here(tmp_path: Path) -> None:
    """Exit status 3, with what to do where; it is in the record, and no lock file is gone."""
    space = tmp_path / "lockspace"
    space.mkdir()
    (space / "disk").write_text("")
    heartbeat(space, "kvm07", age=3600)
    record = tmp_path / "record"
    said = run(
        *("--host", "kvm07", "--confirmed-dead", "--proof", "word", "--word", sentence("kvm07")),
        *("--lockspace", str(space), "--audit-file", str(record)),
        status=3,
    )
    assert "nothing was freed" in said
    assert (space / "disk").exists()
    assert record.stat().st_mode & 0o777 == 0o600
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert [line["what"] for line in lines] == ["release", "released"]
    assert lines[0]["proof"]["answer"] == sentence("kvm07")
    assert lines[1]["heartbeats"][0]["verdict"] == "stale"


def test_a_record_that_cannot_be_written(tmp_path: Path) -> None:
    """Nothing is done then."""
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "fifo")
    for name in ("none/record", "link", "fifo"):
        said = run(
            *("--host", "kvm07", "--confirmed-dead", "--proof", "word"),
            *("--word", sentence("kvm07"), "--audit-file", str(tmp_path / name)),
            status=3,
        )
        assert "audit record" in said or "is not a file" in said
    assert not (tmp_path / "elsewhere").exists()
