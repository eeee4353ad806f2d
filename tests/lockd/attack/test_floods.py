"""A guest that floods: neither the log nor the disk is filled, and it is cut off; and what names
say in the log, in errors and in tables is harmless."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lockd.wire.message import CALL, OK, STREAM, Header, pack_message
from tests.lockd.attack.faults import answer_of
from tests.lockd.client import ACQUIRE, AUTOCREATE, resource
from tests.lockd.engine import PROGRAM, Engine, wait_for

if TYPE_CHECKING:
    from pathlib import Path

#: A guest's own connection, which is restricted, and what a guest that an attacker controls
#: does with it: as many calls as it can.
FLOOD = """
import sys
from tests.lockd.client import Client, RESTRICT
from lockd.wire.xdr import pack_uint
client = Client(sys.argv[1], timeout=60)
client.register("flood")
client.acquire(sys.argv[2], "own")
client.restrict()
print("holds", flush=True)
messages, sent = bytes.fromhex(sys.argv[3]) * 20, 0
client.socket.setblocking(False)
try:
    while True:
        try:
            sent += client.socket.send(messages[sent % len(messages) :])
            if not client.socket.recv(1 << 16):
                break
        except BlockingIOError:
            pass
except OSError:
    pass
"""


def _call(procedure: int, arguments: bytes, kind: int = CALL) -> bytes:
    return pack_message(Header(0, 0xEA7BEEF, 1, procedure, kind, 7, OK), arguments)


MESSAGES = {
    "refused": _call(ACQUIRE, resource("/x", "y", 2)),
    "long": _call(ACQUIRE, resource("/x", "y" * 60000, 2)),
    "garbage": _call(ACQUIRE, b"\xff\xff\xff\xff"),
    "unknown procedure": _call(99, b""),
    "unknown program": pack_message(Header(0, 0x1234, 1, 1, CALL, 7, OK), b""),
    "no call": _call(1, b"", STREAM + 4),
}


@pytest.mark.parametrize("message", MESSAGES)
def test_a_restricted_guest(tmp_path: Path, message: str) -> None:
    """It is cut off, which ends it as it ends every guest, or is slow; some lines tell of it."""
    with Engine(tmp_path) as engine:
        before = len(engine.log)
        with subprocess.Popen(
            [sys.executable, "-c", FLOOD, engine.socket, engine.lockspace, MESSAGES[message].hex()],
            stdout=subprocess.PIPE,
        ) as guest:
            assert guest.stdout is not None
            assert guest.stdout.readline() == b"holds\n"
            client = engine.client()
            client.register("other", 5004242)
            client.acquire(engine.lockspace, "mine")
            try:
                guest.wait(5)
            except subprocess.TimeoutExpired:
                assert message == "long", "it is not cut off"
                guest.kill()
        wait_for(lambda: len(engine.ask("locks")) == 1, "its lock is let go")
        log = engine.log[before:]
        assert len(log) < 100_000
        assert len(log.splitlines()) < 40
        assert message == "long" or "is disconnected: it was refused" in log
        assert " more refused, the last: " in log


def test_a_client_that_asks_for_what_another_has(tmp_path: Path) -> None:
    """The client is not cut off; the log has the first refusals one by one, and sums up the
    others."""
    with Engine(tmp_path) as engine:
        client, holder = engine.client(), engine.client()
        holder.register("holder", 5004343)
        holder.acquire(engine.lockspace, "disk")
        client.register("guest", 5004242)
        for _ in range(1500):
            assert "is locked by guest 'holder'" in answer_of(
                client.acquire, engine.lockspace, "disk"
            )
        wait_for(lambda: "more refused" in engine.log, "it is summed up")
        client.acquire(engine.lockspace, "other")
        client.close()
        wait_for(lambda: counted(engine) == 1500, "all are counted")
        assert engine.log.count("'disk' is locked") < 30


def counted(engine: Engine) -> int:
    """How many refusals the log tells of."""
    sums = [int(each) for each in re.findall(r"(\d+) more refused, the last:", engine.log)]
    return engine.log.count("'disk' is locked") - len(sums) + sum(sums)


def test_a_client_that_is_refused_all_the_time(tmp_path: Path) -> None:
    """A hundred times in a second, for what it may not call: it is cut off, and what it holds for
    others stays."""
    with Engine(tmp_path) as engine:
        client, holder = engine.client(), engine.client()
        holder.register("holder", 5004343)
        holder.acquire(engine.lockspace, "disk")
        client.register("guest", 5004242)
        client.acquire(engine.lockspace, "mine")
        said = ["does not exist"]
        while "does not exist" in said[-1]:
            said.append(answer_of(client.acquire, "/nowhere", "disk"))
        assert said[-1] == "hung up"
        assert 50 <= len(said) <= 1000
        assert len(engine.ask("locks")) == 2
        assert "refused" in engine.log


NASTY = {
    "escape": "\x1b]0;owned\x07\x1b[2J",
    "newline": "x\n2026-01-01 00:00:00.000+0000: 1: error : forged",
    "return": "x\rforged",
    "bidi": "abc\u202egnp.\u2066exe",
    "separator": "a\u2028b\u0085c",
    "long": "n" * 65536,
    "bytes": b"\xff\xfe\xc3".decode("utf-8", "surrogateescape"),
    "zero width": "a\u200bb\ufeff",
}

HARMFUL = "\x1b\x07\r\u202e\u2066\u2028\u0085\u200b\ufeff"


@pytest.mark.parametrize("name", NASTY)
def test_names(tmp_path: Path, name: str) -> None:
    """Of guests and of resources."""
    nasty = NASTY[name]
    with Engine(tmp_path, "-v") as engine:
        client, other = engine.client(), engine.client()
        client.register(nasty, 5004242)
        other.register("other", 5004343)
        client.acquire(engine.lockspace, "disk")
        said = answer_of(other.acquire, engine.lockspace, "disk")
        assert "is locked by guest '" in said
        assert not set(said) & set(HARMFUL + "\n")
        assert said.isprintable()
        assert len(said) < 2000
        disk = tmp_path / ("disk" + nasty[:50])
        if "/" not in nasty:
            disk.touch()
            client.acquire("", disk, AUTOCREATE)
            client.acquire(engine.lockspace, "d" + nasty[:50])
        answer_of(other.release, engine.lockspace, nasty)
        answer_of(other.acquire, nasty, nasty)
        answer_of(other.create_lockspace, tmp_path / nasty.replace("/", "_"))
        for line in engine.log_file.read_bytes().split(b"\n"):
            text = line.decode()  # it is UTF-8, whatever the names were
            assert not set(text) & set(HARMFUL)
            assert len(text) < 10_000
            assert not text.startswith("2026-01-01")
        for command in ("locks", "status"):
            shown = subprocess.run(
                [PROGRAM, command, "--socket", engine.admin_socket],
                capture_output=True,
                check=True,
            ).stdout.decode()
            assert not set(shown) & set(HARMFUL)
            assert max(map(len, shown.splitlines())) < 1000
            as_json = subprocess.run(
                [PROGRAM, command, "--json", "--socket", engine.admin_socket],
                capture_output=True,
                check=True,
            ).stdout
            assert as_json.isascii()
        client.release(engine.lockspace, "disk")
