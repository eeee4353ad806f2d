"""Without systemd: the supervisor, what it keeps, and what happens when it or its daemon dies."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lockd.client import AUTOCREATE, CallRefusedError, Client
from tests.lockd.engine import PROGRAM, Engine, end, wait_for
from tests.lockd.program import Copy


def holder(engine: Engine, name: str = "disk") -> Client:
    """A client that has a lock."""
    client = engine.client()
    client.register("guest", 5004242)
    client.acquire(engine.lockspace, name)
    return client


def holds(engine: Engine, client: Client, name: str = "disk") -> bool:
    """Whether the lock is still the client's, by the answer on the same connection."""
    with pytest.raises(CallRefusedError, match="is locked by guest 'guest'"):
        client.acquire(engine.lockspace, name)
    return True


def child(pid: int) -> int:
    """The daemon of a supervisor; 0 while there is none."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text() or 0)


def wait_for_takeover(engine: Engine, number: int) -> None:
    """Wait until so many daemons have taken over."""
    wait_for(lambda: engine.log.count("took over") == number, "another has taken over")


def test_killed_supervisor(tmp_path: Path) -> None:
    """The daemon becomes a supervisor itself: the next kill -9 of either loses nothing, no second
    one comes up beside it, and all can be ended by the PID file."""
    with Engine(tmp_path) as engine:
        client = holder(engine)
        daemon = engine.pid
        engine.process.kill()
        engine.process.wait()
        said = "(the supervisor has ended): the locks would not outlive a crash"
        wait_for(lambda: said in engine.log, "it says so")
        for takeovers in (1, 2):
            wait_for_takeover(engine, takeovers)
            supervisor, daemon = daemon, child(daemon)
            assert (engine.run / "virtlockd.pid").read_text() == str(supervisor)
            assert Path(f"/proc/{supervisor}/comm").read_text() == "lockd\n"
            assert engine.ask("status")["keeper"] == "ok"
            assert holds(engine, client)
            if takeovers == 1:
                os.kill(supervisor, signal.SIGKILL)
        second = Engine(tmp_path)
        assert second.process.wait(20) == 1
        assert "Failed to acquire pid file" in second.log
        os.kill(daemon, signal.SIGKILL)
        wait_for_takeover(engine, 3)
        assert holds(engine, client)
        os.kill(supervisor, signal.SIGUSR1)
        wait_for_takeover(engine, 4)
        assert holds(engine, client)
        end(supervisor)
        assert os.listdir(engine.run / "libvirt") == []
        assert not (engine.run / "virtlockd.pid").exists()


def test_no_lock_is_free_while_the_supervisor_is_replaced(tmp_path: Path) -> None:
    """Another process keeps trying meanwhile, and others go on with their calls."""
    with Engine(tmp_path) as engine:
        client = holder(engine)
        daemon = engine.pid
        with (engine.lockspace / "disk").open("r+b") as file, engine.client() as caller:
            caller.register("other", 5004343)
            engine.process.kill()
            engine.process.wait()
            tries = 0
            while "took over" not in engine.log or tries < 1000:
                with pytest.raises(BlockingIOError):
                    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
                caller.acquire(engine.lockspace, "other")
                caller.release(engine.lockspace, "other")
                tries += 1
        assert holds(engine, client)
        end(daemon)


def test_no_other_supervisor(tmp_path: Path) -> None:
    """If the program no longer starts, the daemon goes on alone, and says so; SIGUSR1
    has it try again."""
    copy = Copy(tmp_path)
    with Engine(tmp_path, command=copy.command) as engine:
        client = holder(engine)
        daemon = engine.pid
        copy.change("survival/journal.py", "FORMAT: Final = 1", "FORMAT: Final = nothing")
        engine.process.kill()
        engine.process.wait()
        wait_for(lambda: "continuing as before" in engine.log, "it says so")
        assert holds(engine, client)
        assert child(daemon) == 0
        assert (engine.run / "virtlockd.pid").read_text() == str(daemon)
        copy.change("survival/journal.py", "FORMAT: Final = nothing", "FORMAT: Final = 1")
        os.kill(daemon, signal.SIGUSR1)
        wait_for(lambda: "the locks outlive a crash again" in engine.log, "it is said")
        wait_for(lambda: bool(child(daemon)), "there is a supervisor again")
        assert holds(engine, client)
        end(daemon)


def stack(pid: int) -> str:
    """Where the stack of a process begins: the same as its parent's, unless it is loaded again."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[25]


def test_a_daemon_is_loaded_again_if_the_program_has_changed(tmp_path: Path) -> None:
    """Else the next one runs it as it is loaded in the supervisor."""
    copy = Copy(tmp_path)
    with Engine(tmp_path, command=copy.command) as engine:
        client = holder(engine)
        time.sleep(1.1)  # one that ends at once is loaded again, too
        os.kill(engine.pid, signal.SIGKILL)
        wait_for_takeover(engine, 1)
        assert stack(engine.pid) == stack(engine.process.pid)
        assert holds(engine, client)
        copy.change("survival/journal.py", "FORMAT: Final = 1", "FORMAT: Final = 0 + 1")
        time.sleep(1.1)
        os.kill(engine.pid, signal.SIGKILL)
        wait_for_takeover(engine, 2)
        assert stack(engine.pid) != stack(engine.process.pid)
        assert holds(engine, client)


def test_a_daemon_that_does_not_come_up_again(tmp_path: Path) -> None:
    """The supervisor tries it again at growing intervals, and no other process gets the lock
    meanwhile."""
    copy = Copy(tmp_path)
    with Engine(tmp_path, command=copy.command) as engine:
        client = holder(engine)
        copy.change("daemon/daemon.py", "def start(", "def no_start(")
        os.kill(engine.pid, signal.SIGKILL)
        tried = "starting it again"
        wait_for(lambda: engine.log.count(tried) >= 4, "the daemon is started again")
        time.sleep(1.5)
        assert engine.log.count(tried) < 12
        with (engine.lockspace / "disk").open("r+b") as file, pytest.raises(BlockingIOError):
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
        copy.change("daemon/daemon.py", "def no_start(", "def start(")
        assert holds(engine, client)


def test_another_process(tmp_path: Path) -> None:
    """SIGUSR2: the daemon ends, and the next one takes over."""
    with Engine(tmp_path) as engine:
        client = holder(engine)
        before = engine.pid
        os.kill(engine.process.pid, signal.SIGUSR2)
        wait_for(lambda: "took over" in engine.log, "the next one has taken over")
        assert holds(engine, client)
        assert engine.pid != before


def test_signals_while_it_starts(tmp_path: Path) -> None:
    """None ends a daemon that is not ready for it yet: two upgrades at once, and a stop that
    comes with an upgrade is obeyed afterwards, guests and all."""
    with Engine(tmp_path) as engine:
        client = holder(engine)
        before = engine.pid
        for _ in range(20):
            os.kill(engine.process.pid, signal.SIGUSR1)
            time.sleep(0.05)
        assert holds(engine, client)
        assert engine.pid == before
        assert "starting it again" not in engine.log
        guest = engine.guest("own")
        engine.upgrade()
        os.kill(engine.process.pid, signal.SIGUSR1)
        engine.process.terminate()
        assert engine.process.wait(30) == 0
        guest.communicate()
        assert guest.returncode == -signal.SIGTERM
        assert os.listdir(engine.run / "libvirt") == []


def test_more_than_one_queue_takes(tmp_path: Path) -> None:
    """Thousands of locks, taken and released in between: the supervisor keeps a handful of
    descriptors, and nothing is lost."""
    with Engine(tmp_path) as engine:
        client = engine.client()
        client.register("guest", 5004242)
        for index in range(2500):
            client.acquire(engine.lockspace, f"disk-{index}")
            if index % 3 == 0:
                client.release(engine.lockspace, f"disk-{index}")
        expected = sorted(f"disk-{index}" for index in range(2500) if index % 3)
        for _ in range(2):
            engine.crash()
            assert [each["resource"] for each in engine.ask("locks")] == expected
        assert len(os.listdir(f"/proc/{engine.process.pid}/fd")) < 20
        engine.upgrade()
        assert [each["resource"] for each in engine.ask("locks")] == expected
        assert holds(engine, client, expected[0])


def test_a_released_lock_keeps_no_file_system(tmp_path: Path) -> None:
    """What a lock file was on can soon be unmounted: nothing is kept open that need not be."""
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    script = f'mount -t tmpfs tmpfs {mounted} && exec "$@"'
    with Engine(tmp_path, command=("sh", "-c", script, "sh", PROGRAM)) as engine:
        client = engine.client()
        client.register("guest", 5004242)
        client.create_lockspace(mounted)
        client.acquire(mounted, "disk", AUTOCREATE)
        unmount = ["nsenter", "--target", str(engine.pid), "--mount", "umount", str(mounted)]
        assert subprocess.run(unmount, capture_output=True).returncode
        client.release(mounted, "disk")
        wait_for(
            lambda: not subprocess.run(unmount, capture_output=True).returncode,
            "the file system can be unmounted",
        )


def test_sockets_that_were_passed_on(tmp_path: Path) -> None:
    """By a manager that keeps no descriptors: the daemon serves them, by their names, also after a
    crash, and makes none of its own."""
    activate = ("systemd-socket-activate", "--fdname=virtlockd.socket:virtlockd-admin.socket")
    names = ("virtlockd-sock", "virtlockd-admin-sock")
    run = tmp_path / "run"
    (run / "libvirt").mkdir(parents=True)
    listen = [f"--listen=/run/libvirt/{name}" for name in names]
    # The environment is not passed on; the program is to be the one that is tested.
    program = ("env", f"PYTHONPATH={os.environ.get('PYTHONPATH', '')}", PROGRAM)
    with Engine(tmp_path, command=(*activate, *listen, *program)) as engine:
        inodes = [(run / "libvirt" / name).stat().st_ino for name in names]
        client = holder(engine)
        engine.crash()
        assert holds(engine, client)
        assert [(run / "libvirt" / name).stat().st_ino for name in names] == inodes


def test_a_stop_during_an_upgrade(tmp_path: Path) -> None:
    """It is obeyed, also if a guest takes its time to end."""
    slow = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    guest = f"{slow}import runpy; runpy.run_module('tests.lockd.guest', run_name='__main__')"
    with Engine(tmp_path) as engine:
        process = subprocess.Popen(
            [sys.executable, "-c", guest, engine.socket, engine.lockspace, "own"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"holds\n"
        os.kill(engine.process.pid, signal.SIGUSR1)
        engine.process.terminate()
        assert engine.process.wait(10) == 0
        process.communicate()
        assert process.returncode == -signal.SIGKILL


#: A daemon that sends descriptors while its supervisor stands still, and ends at once; the one
#: after it says which it has.
_ENDS_AT_ONCE = """
import os, signal, socket
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.connect(os.environ["NOTIFY_SOCKET"])
begun = os.environ["NOTIFY_SOCKET"] + ".begun"
if not os.path.exists(begun):
    open(begun, "w").close()
    manager.send(b"READY=1")
    os.kill(os.getppid(), signal.SIGSTOP)
    for number in range(5):
        socket.send_fds(manager, [b"FDSTORE=1\\nFDNAME=kept-%d" % number], [0])
    os._exit(1)
manager.send(b"STOPPING=1")
print(os.environ["LISTEN_FDNAMES"])
"""

_SUPERVISES = """
import sys
from lockd.log import Logging
from lockd.survival.supervisor import Supervisor
command, address = [sys.executable, "-c", sys.argv[1]], sys.argv[2]
sys.exit(Supervisor(command, address, Logging().part("lockd"), lambda: None, {}).run())
"""


def test_what_a_daemon_sent_just_before_its_end_is_kept(tmp_path: Path) -> None:
    """Also if its end is seen first: the lock of an answered call may be among it."""
    command = [sys.executable, "-c", _SUPERVISES, _ENDS_AT_ONCE, str(tmp_path / "notify")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:

        def has_ended() -> bool:
            daemon = child(supervisor.pid)
            status = Path(f"/proc/{daemon}/stat").read_text() if daemon else ""
            return status.rpartition(")")[2].startswith(" Z")

        wait_for(has_ended, "the first daemon has ended")
        os.kill(supervisor.pid, signal.SIGCONT)
        said, _ = supervisor.communicate()
    assert supervisor.returncode == 0
    assert said == ":".join(f"kept-{number}" for number in range(5)) + "\n"
