"""``lockcfg who`` against a real lockd, its lockspace, and a real QEMU."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from tests.lockd.client import CallRefusedError
from tests.lockd.engine import PROGRAM, Engine, wait_for
from tests.who import refused_by_qemu

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/output.schema.json").read_text())
LOCKCFG = Path(sys.executable).parent / "lockcfg"
OTHER = "kvm07"

#: lockd as on a host of another name.
ON_OTHER_HOST = (
    *("unshare", "--uts", "sh", "-c", f'hostname {OTHER} && exec "$@"', "sh"),
    str(PROGRAM),
)


def who(*words: str | Path, status: int = 0, stdin: str = "") -> dict[str, Any]:
    """What it answers, asked on this host."""
    done = subprocess.run(
        [LOCKCFG, "who", "--json", *words], input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(answer, {**SCHEMA, "$ref": "#/$defs/who"})
    return answer


def here(engine: Engine, *words: str | Path, status: int = 0) -> dict[str, Any]:
    """What it answers on the host of the engine."""
    command: list[str | Path] = [
        *("nsenter", f"--target={engine.pid}", "--mount", "--uts"),
        *(LOCKCFG, "who", "--json"),
    ]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(answer, {**SCHEMA, "$ref": "#/$defs/who"})
    return answer


def description(name: str, pid: int, disk: str) -> str:
    """What libvirt has written of a guest that runs."""
    return (
        f"<domstatus state='running' pid='{pid}'><domain type='kvm' id='1'><name>{name}</name>"
        "<uuid>11111111-2222-3333-4444-555555555555</uuid><devices><disk type='file'"
        f" device='disk'><source file='{disk}'/><target dev='vda'/></disk></devices></domain>"
        "</domstatus>"
    )


def has_note(path: Path) -> bool:
    """Whether lockd has told of the holder, with the file or in it."""
    return "user.lockd" in os.listxattr(path) or b"web" in path.read_bytes()


class Scene:
    """A lockd on another host, and a guest there that holds the lock of its disk."""

    def __init__(self, engine: Engine, disk: Path) -> None:
        self.engine = engine
        self.disk = disk
        self.name = hashlib.sha256(str(disk).encode()).hexdigest()
        self.guest = subprocess.Popen(["sleep", "600"])
        running = engine.run / "libvirt/qemu"
        running.mkdir(parents=True, exist_ok=True)
        (running / "web.xml").write_text(description("web", self.guest.pid, str(disk)))
        self.client = engine.client()
        self.client.register("web", self.guest.pid, uuid=bytes.fromhex("11" * 16))
        self.client.acquire(engine.lockspace, self.name)
        wait_for(lambda: has_note(engine.lockspace / self.name), "there is a note")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """It, with heartbeats."""
    disk = tmp_path / "web.img"
    disk.write_bytes(bytes(1 << 20))
    files = {
        "qemu.conf": 'lock_manager = "lockd"\n',
        "qemu-lockd.conf": f'file_lockspace_dir = "{tmp_path}/lockspace"\n',
    }
    with Engine(tmp_path, "--heartbeat=0.2", command=ON_OTHER_HOST, files=files) as engine:
        scene = Scene(engine, disk)
        try:
            yield scene
        finally:
            scene.guest.kill()
            scene.guest.wait()


def test_from_another_host(scene: Scene) -> None:
    """By the hash, by the lock file, and by the path of the disk: which disk it is, who holds it on
    which host, and that this lives."""
    space = scene.engine.lockspace
    beats = space / ".hosts" / OTHER
    wait_for(beats.exists, "there is a heartbeat")
    for words in ([scene.name], [space / scene.name], [scene.disk]):
        answer = who(*words, "--lockspace", space)
        (holder,) = answer["holders"]
        assert (holder["host"], holder["guest"], holder["pid"]) == (
            *(OTHER, "web"),
            scene.guest.pid,
        )
        assert holder["source"] == "note"
        assert holder["life"]["verdict"] == "live"
        assert str(scene.disk) in answer["disks"]
        assert f"is on {OTHER}, which lives" in answer["steps"][0]
        assert answer["steps"][-1] == "never delete the lock file: the file is not the lock"


def test_on_the_host_itself(scene: Scene) -> None:
    """By the name of the guest too: its disk, and what lockd says of the lock."""
    for word in (scene.name, str(scene.disk), "web"):
        answer = here(scene.engine, word)
        (holder,) = answer["holders"]
        assert holder["source"] == "lockd"
        assert (holder["host"], holder["guest"]) == (OTHER, "web")
        assert answer["guests"] == [
            {
                "host": OTHER,
                "guest": "web",
                "uuid": "11111111-2222-3333-4444-555555555555",
                "disk": str(scene.disk),
                "runs": True,
                "taken": None,
            }
        ]
        assert "runs on this host" in answer["steps"][0]


def test_a_refusal_that_is_pasted(scene: Scene) -> None:
    """The very text that a second guest gets, as lockd words it."""
    second = scene.engine.client()
    second.register("db", os.getpid())
    with pytest.raises(CallRefusedError) as caught:
        second.acquire(scene.engine.lockspace, scene.name)
    text = f"error: Failed to start domain 'db'\nerror: {caught.value}"
    answer = who("-", "--lockspace", scene.engine.lockspace, stdin=text)
    assert [each["layer"] for each in answer["texts"]] == ["lock-daemon"]
    assert str(scene.disk) in answer["disks"]
    (holder,) = answer["holders"]
    assert (holder["host"], holder["guest"], holder["source"]) == (OTHER, "web", "note")
    # The holder is found.
    assert not [step for step in answer["steps"] if "find the holder" in step]


def test_a_text_is_about_one_disk_of_a_guest(scene: Scene, tmp_path: Path) -> None:
    """Of a guest with two, which is shown once; and the disk itself is not called unlocked, whose
    lock is in the lockspace."""
    other = tmp_path / "other.img"
    other.touch()
    file = scene.engine.run / "libvirt/qemu/web.xml"
    more = f"<disk type='file' device='disk'><source file='{other}'/><target dev='vdb'/></disk>"
    file.write_text(file.read_text().replace("</devices>", f"{more}</devices>"))
    text = (
        f"error: resource busy: Lockspace resource '{scene.name}' is locked by guest 'web' (uuid"
        f" 11111111-2222-3333-4444-555555555555, pid {scene.guest.pid}) on this host, for the disk"
        f" {scene.disk}"
    )
    assert here(scene.engine, text)["disks"] == [str(scene.disk)]
    assert here(scene.engine, "web")["disks"] == [str(scene.disk), str(other)]
    enter = ("nsenter", f"--target={scene.engine.pid}", "--mount", "--uts")
    shown = subprocess.run(
        [*enter, LOCKCFG, "who", "web"], capture_output=True, text=True, check=True
    ).stdout
    assert shown.count(f"web on {OTHER}: runs") == 1
    assert "not locked" not in shown


def test_a_host_that_falls_silent(scene: Scene) -> None:
    """It is silent, and not said to be off: a person is to make sure."""
    space = scene.engine.lockspace
    beats = space / ".hosts" / OTHER
    wait_for(beats.exists, "there is a heartbeat")
    # As if the last one were an hour old. The daemon is stopped, so that it writes none.
    os.kill(scene.engine.pid, 19)
    try:
        os.utime(beats, (time.time() - 3600, time.time() - 3600))
        answer = who(scene.name, "--lockspace", space)
    finally:
        os.kill(scene.engine.pid, 18)
    (holder,) = answer["holders"]
    assert holder["life"]["verdict"] == "stale"
    assert holder["life"]["age"] > 3500
    assert "does not show that it is off" in answer["steps"][0]
    assert "--confirmed-dead" in answer["steps"][0]


def test_a_host_without_heartbeats(tmp_path: Path) -> None:
    """It is unknown, which is neither alive nor dead; and so is one whose heartbeat is nonsense, or
    is in the future."""
    with Engine(tmp_path, command=ON_OTHER_HOST) as engine:
        client = engine.client()
        client.register("web", 5004242)
        client.acquire(engine.lockspace, "disk")
        wait_for(lambda: has_note(engine.lockspace / "disk"), "there is a note")
        beats = engine.lockspace / ".hosts"

        def life() -> dict[str, Any]:
            (holder,) = who("disk", "--lockspace", engine.lockspace)["holders"]
            found: dict[str, Any] = holder["life"]
            return found

        assert life()["verdict"] == "unknown"
        assert "writes no heartbeat" in life()["why"]
        beats.mkdir()
        good = {"lockd": 1, "host": OTHER, "boot": "", "pid": 1, "time": 0, "interval": 10}
        for content in ("", "[]", "{", '{"host": 7}', json.dumps({**good, "host": "other"})):
            (beats / OTHER).write_text(content)
            assert life()["verdict"] == "unknown", content
        (beats / OTHER).write_text(json.dumps(good))
        assert life()["verdict"] == "live"
        os.utime(beats / OTHER, (time.time() + 3600, time.time() + 3600))
        assert life()["verdict"] == "unknown"
        assert "in the future" in life()["why"]
        (beats / OTHER).unlink()
        (beats / OTHER).symlink_to("/etc/passwd")
        assert life()["verdict"] == "unknown"
        (beats / OTHER).unlink()
        os.mkfifo(beats / OTHER)
        assert life()["verdict"] == "unknown"


def test_the_clock_is_the_file_systems(tmp_path: Path) -> None:
    """A host whose clock is wrong is judged by the age of what it writes, on the clock of the file
    system, which this host's own heartbeat tells."""
    from lockcfg.who.heartbeat import life_of

    beats = tmp_path / ".hosts"
    beats.mkdir()
    now = time.time()
    ahead = 7200.0  # the file server's clock
    for host, age, clock in (("me", 1.0, 0.0), ("near", 5.0, -90000.0), ("gone", 500.0, 90000.0)):
        written = {"lockd": 1, "host": host, "boot": "", "pid": 1, "interval": 10}
        (beats / host).write_text(json.dumps({**written, "time": now - age + clock}))
        os.utime(beats / host, (now - age + ahead, now - age + ahead))
    assert life_of("near", str(tmp_path), me="me", now=now).verdict == "live"
    assert life_of("gone", str(tmp_path), me="me", now=now).verdict == "stale"
    # Who writes none himself knows his own clock alone.
    assert life_of("gone", str(tmp_path), me="nobody", now=now).verdict == "unknown"


def test_what_is_not_locked(scene: Scene) -> None:
    """A note that is left over is no holder."""
    path = scene.engine.lockspace / "left-over"
    path.write_text(json.dumps({"lockd": 1, "host": OTHER, "guest": "old", "pid": 1}))
    answer = who("left-over", "--lockspace", scene.engine.lockspace)
    assert answer["holders"] == []
    assert [lock["locked"] for lock in answer["locks"]] == ["no"]
    assert "as far as this host sees" in answer["steps"][0]


def test_a_disk_that_is_not_here(tmp_path: Path) -> None:
    """It may be on another host."""
    path = tmp_path / "gone.qcow2"
    assert who(path)["unknown"] == [f"{path} is not on this host: ask on one that has it"]
    path.touch()
    assert who(path)["unknown"] == []


def test_what_nobody_knows(scene: Scene) -> None:
    """It is said to be unknown, and not to be free."""
    answer = who("no-such-thing", "--lockspace", scene.engine.lockspace, status=1)
    assert answer["holders"] == answer["disks"] == answer["locks"] == []
    assert "this host sees no lock of that name" in answer["steps"][0]


@pytest.mark.parametrize("planted", ["fifo", "link", "directory"])
def test_what_is_planted(scene: Scene, planted: str) -> None:
    """It is not a lock file, and lockcfg neither opens it nor waits for it."""
    path = scene.engine.lockspace / "disk"
    if planted == "fifo":
        os.mkfifo(path)
    elif planted == "link":
        path.symlink_to("/dev/random")
    else:
        path.mkdir()
    begun = time.monotonic()
    answer = who("disk", "--lockspace", scene.engine.lockspace)
    assert time.monotonic() - begun < 4
    assert answer["holders"] == []
    assert [lock["locked"] for lock in answer["locks"]] == ["unknown"]
    assert "it is not a lock file" in answer["unknown"]


def test_qemus_own_lock(tmp_path: Path) -> None:
    """An image that a QEMU has open which no lock daemon knows of."""
    image = tmp_path / "disk.raw"
    with refused_by_qemu(image) as said:
        answer = who("-", "--lockspace", tmp_path / "lockspace", stdin=said)
    assert answer["texts"][0]["layer"] == "qemu"
    assert str(image) in answer["disks"]
    assert "image" in [each["source"] for each in answer["holders"]]
    # Which process it is remains to be found: no guest of libvirt has it.
    assert [step for step in answer["steps"] if "find that process" in step]


def test_the_guests_of_other_hosts(scene: Scene, tmp_path: Path) -> None:
    """By snapshots, and by a fleet store that is made of them: who else has the disk."""
    snapshots = tmp_path / "snapshots"
    snapshots.mkdir()
    enter = ("nsenter", f"--target={scene.engine.pid}", "--mount", "--uts")
    output = str(snapshots / f"{OTHER}.json")
    subprocess.run(
        [*enter, str(LOCKCFG), "collect", "--output", output], check=True, capture_output=True
    )
    store = tmp_path / "fleet.store"
    made = subprocess.run(
        [LOCKCFG, "audit", snapshots, "--partial", store], capture_output=True, check=False
    )
    assert store.exists(), made.stderr
    for source in (snapshots, store):
        for word in (scene.name, str(scene.disk), "web"):
            answer = who(word, "--snapshots", source)
            (user,) = [each for each in answer["guests"] if each["taken"]]
            assert (user["host"], user["guest"], user["runs"]) == (OTHER, "web", True)
            assert user["disk"] == str(scene.disk)


def test_in_a_tenth_of_a_second(scene: Scene) -> None:
    """What it takes of the processor's time, which a machine that does more may double: of the
    clock's, other tests take some."""
    program = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=-3, check=True);"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); print(used.ru_utime + used.ru_stime)"
    )
    command = [str(LOCKCFG), "who", scene.name, "--lockspace", str(scene.engine.lockspace)]
    taken = [
        float(subprocess.check_output([sys.executable, "-c", program, *command])) for _ in range(5)
    ]
    assert min(taken) < 0.15, taken


def test_explain_takes_the_same() -> None:
    """What is no rule."""
    text = "error: resource busy: Lockspace resource 'x' is locked"
    for words in (["-"], text.split(" ")):
        done = subprocess.run(
            [LOCKCFG, "explain", *words], input=text, capture_output=True, text=True, check=True
        )
        assert "another guest or host holds the lock" in done.stdout
    done = subprocess.run([LOCKCFG, "explain", "LK104"], capture_output=True, text=True, check=True)
    assert "duplicate-key" in done.stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Tsxq0p-4nPq-xJ2h-MPfR-bzmE-lkGd-Fhqs3c", "the UUID of a logical volume"),
        ("35000c50015ea71ad", "the id of a SCSI disk"),
        ("36001405a1b2c3d4e5f60718293a4b5c6", "a longer one"),
    ],
)
def test_by_the_name_of_a_block_device(tmp_path: Path, name: str, said: str) -> None:
    """By itself, by its lock file, and in a text: who holds it is found by it alone."""
    with Engine(tmp_path, command=ON_OTHER_HOST) as engine:
        client = engine.client()
        client.register("web", 5004242)
        client.acquire(engine.lockspace, name)
        wait_for(lambda: has_note(engine.lockspace / name), "there is a note")
        second = engine.client()
        second.register("db", 5004343)
        with pytest.raises(CallRefusedError) as caught:
            second.acquire(engine.lockspace, name)
        for words, text in (
            ([name], ""),
            ([engine.lockspace / name], ""),
            (["-"], f"error: Failed to start domain 'db'\nerror: {caught.value}"),
            (["-"], f"virtlockd: the lease {name} is in use"),
        ):
            answer = who(*words, "--lockspace", engine.lockspace, stdin=text)
            (holder,) = answer["holders"]
            assert (holder["host"], holder["guest"]) == (OTHER, "web"), (said, words, text)
