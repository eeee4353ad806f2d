"""lockd replaces virtlockd, and virtlockd replaces lockd, in the same process. Neither a guest that
holds a lock notices, nor another process that wants one of the locks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from lockcfg import libvirt_release
from lockd.move.running import Process
from lockd.move.takeover import reasons_against
from lockd.survival import restart_file
from lockd.wire.message import CALL, OK, Header, pack_message
from tests.lockd.client import ACQUIRE, AUTOCREATE, SHARED, CallRefusedError, Client, resource
from tests.lockd.engine import PROGRAM, wait_for
from tests.real.moving_host import MovingHost, Thief

if TYPE_CHECKING:
    from pathlib import Path

#: How many clients there are, and how often the host moves there and back.
CLIENTS = (200, 1000)
TIMES = (1, 10)


def test_there_and_back(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """With many clients, of which each holds locks, shared ones too, while another process tries
    all the time to lock any of the files."""
    exhaustive = request.config.getoption("--exhaustive")
    number, times = CLIENTS[exhaustive], TIMES[exhaustive]
    with MovingHost(tmp_path, files={"virtlockd.conf": "max_clients = 2000\n"}) as host:
        clients = []
        for index in range(number):
            client = host.client()
            client.register(f"guest-{index}", 1_000_000 + index, id=index + 1)
            client.acquire(host.lockspace, f"disk-{index}")
            client.acquire(host.lockspace, "shared", AUTOCREATE | SHARED)
            clients.append(client)
        with Thief(host.lockspace) as thief:
            assert thief.files == number + 1
            for _ in range(times):
                host.move("takeover")
                host.move("handback")
            got, tries = thief.end()
        assert not got
        assert tries > number
        for index, client in enumerate(clients):
            with pytest.raises(CallRefusedError, match=r"is locked$"):
                client.acquire(host.lockspace, f"disk-{index}")
            client.release(host.lockspace, f"disk-{index}")
            client.release(host.lockspace, "shared")
        assert host.held() == set()


def test_what_the_release_of_virtlockd_allows(tmp_path: Path) -> None:
    """Before libvirt 7.2 virtlockd would end, with its locks: it is left alone. A newer one is
    not."""
    with MovingHost(tmp_path) as host:
        client = host.client()
        client.register("guest", 1_000_000)
        client.acquire(host.lockspace, "disk")
        done = host.lockd("takeover", "--dry-run")
        if libvirt_release() < (7, 2, 0):
            assert done.returncode == 1
            assert "may end, and its locks with it" in done.stderr
            assert host.lockd("takeover").stderr == done.stderr
        else:
            assert (done.returncode, done.stderr) == (0, "")
        assert host.runs == "virtlockd"
        assert host.held() == {"disk"}


@pytest.mark.parametrize(
    ("library", "release", "refused"),
    [
        ("libvirt.so.0.7000.0", (7, 0, 0), "virtlockd of libvirt 7.0.0 may end"),
        ("libvirt.so.0.7002.0", (7, 2, 0), ""),
        ("libvirt.so.0.11003.1", (11, 3, 1), ""),
        ("libfirt.so", (0, 0, 0), "virtlockd of unknown release may end"),
    ],
)
def test_the_release_is_that_of_the_library_that_is_loaded(
    tmp_path: Path, library: str, release: tuple[int, int, int], refused: str
) -> None:
    """Also when its file is gone."""
    path = tmp_path / library
    path.write_bytes(b"x")
    command = (
        "import mmap, sys\n"
        "with open(sys.argv[1], 'rb') as file:\n"
        "    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)\n"
        "print('mapped', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", command, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"mapped\n"
        path.unlink()
        assert Process(process.pid).release == release
        reasons = [each for each in reasons_against(Process(process.pid)) if "may end" in each]
        assert [each.startswith(refused) for each in reasons] == [True] * bool(refused)
        process.communicate()


def test_calls_under_way(tmp_path: Path) -> None:
    """On the way back every call is answered, also one of which half had come; on the way there
    every one that virtlockd itself would have answered, and no client waits without end."""
    stop = threading.Event()
    lost: list[str] = []
    count = [0]

    def call_on(client: Client, index: int) -> None:
        client.register("guest", 1_000_000 + index)
        try:
            while not stop.is_set():
                client.acquire(host.lockspace, f"disk-{index}")
                client.release(host.lockspace, f"disk-{index}")
                count[0] += 1
        except (EOFError, OSError, CallRefusedError) as error:
            lost.append(repr(error))

    with MovingHost(tmp_path) as host:
        host.move("takeover")
        threads = [
            threading.Thread(target=call_on, args=(host.client(), index)) for index in range(4)
        ]
        half = host.client()
        half.register("half", 1_000_100)
        message = pack_message(
            Header(0, 0xEA7BEEF, 1, ACQUIRE, CALL, 7, OK),
            resource(host.lockspace, "half", AUTOCREATE),
        )
        half.socket.sendall(message[:30])
        for thread in threads:
            thread.start()
        rest = threading.Timer(2.0, lambda: half.socket.sendall(message[30:]))
        rest.start()
        host.move("handback")
        half.reply()
        stop.set()
        for thread in threads:
            thread.join(30)
        assert not lost
        assert count[0] > 10
        assert host.held() == {"half"}


def test_half_a_call_that_does_not_end(tmp_path: Path) -> None:
    """It is a reason not to go back, and nothing has changed."""
    with MovingHost(tmp_path) as host:
        host.move("takeover")
        client = host.client()
        client.register("guest", 1_000_000)
        client.acquire(host.lockspace, "disk")
        client.socket.sendall(b"\0\0\0")
        done = host.lockd("handback")
        assert done.returncode == 1
        assert "is in the middle of a call" in done.stderr
        assert "nothing has changed" in done.stderr
        assert host.runs == "lockd"
        assert host.held() == {"disk"}


def test_nothing_to_do(tmp_path: Path) -> None:
    """A second time is fine, and does nothing."""
    with MovingHost(tmp_path) as host:
        assert "virtlockd holds the locks already" in host.lockd("handback").stdout
        assert "would take over 0 locks" in host.lockd("takeover", "--dry-run").stdout
        assert host.runs == "virtlockd"
        host.move("takeover")
        assert "no virtlockd runs" in host.lockd("takeover").stdout
        assert "would hand back 0 locks" in host.lockd("handback", "--dry-run").stdout
        assert host.runs == "lockd"


def test_a_configuration_with_errors(tmp_path: Path) -> None:
    """Either way it is refused before anything is done."""
    with MovingHost(tmp_path) as host:
        (host.etc / "virtlockd.conf").write_text("max_clients = x\n")
        done = host.lockd("takeover")
        assert done.returncode == 1
        assert "virtlockd.conf:1:15" in done.stderr
        assert host.runs == "virtlockd"
        (host.etc / "virtlockd.conf").unlink()
        host.move("takeover")
        (host.etc / "virtlockd.conf").write_text("max_clients = x\n")
        done = host.lockd("handback")
        assert done.returncode == 1
        assert "virtlockd does not start with this configuration" in done.stderr
        assert host.runs == "lockd"


def test_an_environment_in_which_lockd_does_not_start(tmp_path: Path) -> None:
    """It is tried with virtlockd's environment and in its place, before virtlockd is asked."""
    with MovingHost(tmp_path, environment={"PYTHONHOME": "/nowhere"}) as host:
        done = host.lockd("takeover")
        assert done.returncode == 1
        assert "nothing has changed" in done.stderr
        assert host.runs == "virtlockd"
        with host.client() as client:
            client.create_lockspace(host.lockspace)


def test_two_guests_on_one_disk(tmp_path: Path) -> None:
    """virtlockd grants a disk twice, under two names. That is no state to move in."""
    with MovingHost(tmp_path) as host, host.client() as one, host.client() as two:
        one.register("one", 1_000_001)
        two.register("two", 1_000_002)
        disk = tmp_path / "disk"
        disk.touch()
        (tmp_path / "link").symlink_to("disk")
        one.acquire("", disk, 0)
        two.acquire("", tmp_path / "link", 0)
        done = host.lockd("takeover")
        assert done.returncode == 1
        assert "two guests write one disk" in done.stderr
        assert host.runs == "virtlockd"


def test_the_file_is_virtlockds_own(tmp_path: Path) -> None:
    """What lockd writes is what virtlockd writes, member for member."""
    with MovingHost(tmp_path) as host:
        client = host.client()
        client.register("guest", 1_000_000)
        client.acquire(host.lockspace, "disk")
        program = tmp_path / "keep"
        program.write_text(
            f"#!/bin/bash\ncp /run/virtlockd-restart-exec.json {tmp_path}/left\n"
            'exec -a /usr/sbin/virtlockd /usr/sbin/.virtlockd "$@"\n'
        )
        program.chmod(0o755)
        left = tmp_path / "left"
        script = (
            f"mount -t tmpfs tmpfs /mnt && cp /usr/sbin/virtlockd /mnt/.virtlockd &&"
            f" sed -i s,/usr/sbin/.virtlockd,/mnt/.virtlockd, {program} &&"
            f" mount --bind {program} /usr/sbin/virtlockd && kill -USR1 {host.process.pid}"
        )
        assert host.inside("sh", "-c", script).returncode == 0
        wait_for(
            lambda: left.exists() and os.stat(left).st_size > 0, "virtlockd has left its state"
        )
        client.call(8, b"\0\0\0\x04/run")
        data = left.read_bytes()
        state = restart_file.read(data)
        assert json.loads(restart_file.write(state)) == json.loads(data)
        assert [each.name for each in state.spaces[str(host.lockspace)]] == ["disk"]


def swap(host: MovingHost, tmp_path: Path, script: str) -> None:
    """Have a shell script in virtlockd's place, with virtlockd itself aside, and SIGUSR1 sent."""
    program = tmp_path / "in-its-place"
    program.write_text(f"#!/bin/bash\n{script}\n")
    program.chmod(0o755)
    commands = (
        "touch /run/libvirt/virtlockd-before-lockd &&"
        " mount --bind /usr/sbin/virtlockd /run/libvirt/virtlockd-before-lockd &&"
        f" mount --bind {program} /usr/sbin/virtlockd && kill -USR1 {host.process.pid}"
    )
    assert host.inside("sh", "-c", commands).returncode == 0


def test_lockd_in_virtlockds_place(tmp_path: Path) -> None:
    """Without a command that looks first: the program is there, and SIGUSR1 comes."""
    with MovingHost(tmp_path) as host:
        client = host.client()
        client.register("guest", 1_000_000)
        client.acquire(host.lockspace, "disk")
        swap(host, tmp_path, f'exec {PROGRAM} "$@"')
        wait_for(lambda: "kept by" in host.lockd("status").stdout, "lockd has taken over")
        assert host.runs == "lockd"
        assert host.held() == {"disk"}
        with pytest.raises(CallRefusedError, match="is locked by guest 'guest'"):
            client.acquire(host.lockspace, "disk")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ('sed -i \'s/"magic"/"format": 2, "magic"/\'', "unknown members: 'format'"),
        ('sed -i \'s/"flags": 2/"flags": 10/\'', "unknown flags: 10"),
    ],
)
def test_a_file_that_is_not_understood(tmp_path: Path, spoil: str, why: str) -> None:
    """virtlockd goes on in its process, with all it had, and it is said why."""
    with MovingHost(tmp_path) as host:
        client = host.client()
        client.register("guest", 1_000_000)
        client.acquire(host.lockspace, "disk")
        file = "/run/virtlockd-restart-exec.json"
        swap(host, tmp_path, f'{spoil} {file}; exec {PROGRAM} "$@"')
        wait_for(lambda: "cannot be taken over" in host.log, "lockd has refused")
        wait_for(lambda: host.runs.startswith("virtlockd"), "virtlockd goes on")
        assert why in host.log
        assert host.held() == {"disk"}
        with pytest.raises(CallRefusedError, match=r"is locked$"):
            client.acquire(host.lockspace, "disk")
