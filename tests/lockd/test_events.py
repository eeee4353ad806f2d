"""What happens to locks, told to programs: in the journal, by ``lockd events``, in the metrics."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from lockd.events import KINDS
from tests.lockd.client import CallRefusedError
from tests.lockd.engine import PROGRAM, Engine, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/lockd-output.schema.json").read_text())


def events(engine: Engine, *arguments: str) -> list[dict[str, Any]]:
    """What has happened."""
    done = subprocess.run(
        [PROGRAM, "events", "--json", "--socket", engine.admin_socket, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return checked(done.stdout)


def checked(text: str) -> list[dict[str, Any]]:
    """The events of some lines, each as the schema has them."""
    found = [json.loads(line) for line in text.splitlines()]
    for event in found:
        jsonschema.validate(event, {**SCHEMA, "$ref": "#/$defs/event"})
    return found


class Following:
    """``lockd events --follow``, and what it has printed."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self.file = directory / "events"
        with self.file.open("wb") as file:
            self.process = subprocess.Popen(
                [PROGRAM, "events", "--follow", "--json", "--socket", engine.admin_socket],
                stdout=file,
            )
        # It follows as soon as it hears of something.
        client = engine.client()
        client.register("first", 5004242)

        def is_heard() -> bool:
            client.acquire(engine.lockspace, "first")
            client.release(engine.lockspace, "first")
            return bool(self.told)

        wait_for(is_heard, "it follows")

    @property
    def told(self) -> list[dict[str, Any]]:
        """What it has told, of whole lines."""
        text = self.file.read_text()
        return checked(text[: text.rfind("\n") + 1])

    def of(self, guest: str) -> list[str]:
        """What has happened to the locks of a guest."""
        return [each["event"] for each in self.told if each.get("guest") == guest]

    def end(self) -> int:
        """Interrupt it."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[tuple[Engine, Following]]:
    """A lockd, and who follows it."""
    with Engine(tmp_path) as engine:
        following = Following(engine, tmp_path)
        try:
            yield engine, following
        finally:
            following.process.kill()
            following.process.wait()


def test_what_happens_is_told(followed: tuple[Engine, Following]) -> None:
    """Grants, refusals and releases, with the guest, the lock, and an id of the kind."""
    engine, following = followed
    web, db = engine.client(), engine.client()
    web.register("web", 5004242, uuid=bytes(range(16)))
    db.register("db", 5004243)
    web.acquire(engine.lockspace, "disk")
    with pytest.raises(CallRefusedError):
        db.acquire(engine.lockspace, "disk")
    web.release(engine.lockspace, "disk")
    wait_for(lambda: following.of("web") == ["granted", "released"], "web's are told")
    wait_for(lambda: following.of("db") == ["refused"], "db's is told")
    granted = next(each for each in following.told if each.get("guest") == "web")
    assert granted["uuid"] == "00010203-0405-0607-0809-0a0b0c0d0e0f"
    assert (granted["lockspace"], granted["resource"]) == (str(engine.lockspace), "disk")
    assert (granted["pid"], granted["mode"]) == (5004242, "exclusive")
    refused = next(each for each in following.told if each.get("guest") == "db")
    assert "is locked by guest 'web'" in refused["message"]
    assert following.end() == 0


def test_who_follows_goes_on_with_the_next_daemon(followed: tuple[Engine, Following]) -> None:
    """After a crash, and after an upgrade."""
    engine, following = followed
    web = engine.client()
    web.register("web", 5004242)
    for number, change in enumerate((engine.crash, engine.upgrade)):
        change()

        def is_followed(name: str = f"disk{number}") -> bool:
            web.acquire(engine.lockspace, name)
            web.release(engine.lockspace, name)
            return name in [each.get("resource") for each in following.told]

        wait_for(is_followed, "it follows")
    assert "took-over" in [each["event"] for each in following.told]


def test_what_was_worth_a_warning_is_remembered(tmp_path: Path) -> None:
    """Without a follower; grants are not, as it takes time to tell of them."""
    with Engine(tmp_path) as engine:
        web, db = engine.client(), engine.client()
        web.register("web", 5004242)
        db.register("db\x1b[31m", 5004243)
        web.acquire(engine.lockspace, "disk")
        assert events(engine) == []
        for _ in range(30):  # the log sums these up
            with pytest.raises(CallRefusedError):
                db.acquire(engine.lockspace, "disk")
        found = events(engine)
        assert [each["event"] for each in found] == ["refused"] * 30
        done = subprocess.run(
            [PROGRAM, "events", "--socket", engine.admin_socket], capture_output=True, check=True
        )
        assert b"\x1b" not in done.stdout
        assert done.stdout.count(b"  refused  ") == 30


def test_nobody_answers(tmp_path: Path) -> None:
    """Exit status 3, also for who would follow."""
    for more in ((), ("--follow",)):
        done = subprocess.run(
            [PROGRAM, "events", "--socket", tmp_path / "none", *more], capture_output=True
        )
        assert done.returncode == 3
        assert b"no lock daemon answers" in done.stderr


def fields_of(datagram: bytes) -> dict[str, str]:
    """The fields of an entry, in the journal's own protocol."""
    found: dict[str, str] = {}
    while datagram:
        line, _, datagram = datagram.partition(b"\n")
        if b"=" in line:
            name, _, value = line.partition(b"=")
        else:
            name, size = line, int.from_bytes(datagram[:8], "little")
            value, datagram = datagram[8 : 8 + size], datagram[8 + size + 1 :]
        assert re.fullmatch(rb"[A-Z][A-Z0-9_]*", name), name
        found[name.decode()] = value.decode()
    return found


def test_the_journal_has_fields(tmp_path: Path) -> None:
    """By which an entry can be searched for, whatever a guest is called; and an id of its kind."""
    (tmp_path / "run/systemd/journal").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        # A path may be too long for an address: by the directory's descriptor it is not.
        where = os.open(tmp_path / "run/systemd/journal", os.O_PATH)
        journal.bind(f"/proc/self/fd/{where}/socket")
        os.close(where)
        journal.settimeout(20)
        conf = 'log_outputs = "2:journald"\nlog_level = 2\n'
        with Engine(tmp_path, files={"virtlockd.conf": conf}) as engine:
            name = "web\nMESSAGE_ID=forged"
            web, db = engine.client(), engine.client()
            web.register(name, 5004242)
            db.register("db", 5004243)
            web.acquire(engine.lockspace, "disk")
            with pytest.raises(CallRefusedError):
                db.acquire(engine.lockspace, "disk")
            found: dict[str, dict[str, str]] = {}
            while not {"granted", "refused"} <= found.keys():
                fields = fields_of(journal.recv(1 << 16))
                found[fields.get("LOCKD_EVENT", "")] = fields
    ids = {kind.name: kind.id for kind in KINDS}
    granted, refused = found["granted"], found["refused"]
    assert granted["MESSAGE_ID"] == ids["granted"]
    assert granted["LOCKD_GUEST"] == r"web\x0aMESSAGE_ID=forged"
    assert granted["LOCKD_LOCKSPACE"] == str(engine.lockspace)
    assert granted["LOCKD_HOST"] == os.uname().nodename
    assert refused["MESSAGE_ID"] == ids["refused"]
    assert refused["PRIORITY"] == "3"
    assert (refused["LOCKD_GUEST"], refused["LOCKD_RESOURCE"]) == ("db", "disk")


#: The real one, with files and an id of the machine of its own, which are the arguments.
_JOURNALD = """
mount --bind "$1" /run
mount -t tmpfs tmpfs /var/log
mount --bind "$2" /etc/machine-id
exec /lib/systemd/systemd-journald
"""


def test_journald_keeps_the_fields(tmp_path: Path) -> None:
    """journalctl finds an entry by them, and the name of a guest forges none."""
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "id").write_text("0123456789abcdef0123456789abcdef\n")
    journald = subprocess.Popen(
        [
            *("unshare", "--mount", "--propagation", "private"),
            *("sh", "-ec", _JOURNALD, "sh", run, tmp_path / "id"),
        ]
    )

    def entries(match: str) -> list[dict[str, str]]:
        done = subprocess.run(
            ["journalctl", f"--directory={run}/log/journal", "--output=json", "--quiet", match],
            capture_output=True,
            text=True,
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    try:
        wait_for((run / "systemd/journal/socket").exists, "journald listens")
        conf = 'log_outputs = "2:journald"\nlog_level = 2\n'
        with Engine(tmp_path, files={"virtlockd.conf": conf}) as engine:
            web = engine.client()
            web.register("web\nMESSAGE_ID=forged", 5004242)
            web.acquire(engine.lockspace, "disk")
            (kind,) = (kind for kind in KINDS if kind.name == "granted")
            match = f"MESSAGE_ID={kind.id}"
            wait_for(lambda: bool(entries(match)), "the journal has it")
            (entry,) = entries(match)
    finally:
        journald.terminate()
        journald.wait()
    assert entry["LOCKD_GUEST"] == r"web\x0aMESSAGE_ID=forged"
    assert entry["LOCKD_LOCKSPACE"] == str(engine.lockspace)
    assert entry["LOCKD_RESOURCE"] == "disk"
    assert entry["LOCKD_HOST"] == os.uname().nodename
    assert entry["_TRANSPORT"] == "journal"


def test_each_kind_has_an_id_and_a_meaning() -> None:
    """And no two the same; an operator searches for them."""
    assert len({kind.id for kind in KINDS}) == len({kind.name for kind in KINDS}) == len(KINDS)
    for kind in KINDS:
        assert re.fullmatch(r"[0-9a-f]{32}", kind.id)
        assert kind.means.endswith(".")


def test_a_library_for_metrics_costs_nobody_else(tmp_path: Path) -> None:
    """It is imported by 'lockd metrics' alone."""
    program = (
        "import sys; from lockd.main import main;"
        f"main(['status', '--socket', {str(tmp_path / 'none')!r}]); import lockd.daemon.serving;"
        "sys.exit('prometheus_client' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0
