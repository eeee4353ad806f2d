"""``lockcfg doctor`` on a host in one state after the other: what it says is true, names what is
wrong, and what to do."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest

from tests.lockd.client import Client
from tests.lockd.engine import PROGRAM
from tests.real.guest_host import LOCKSPACE, GuestHost
from tests.real.moving_host import VIRTLOCKD

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

OUTPUT: Final = json.loads(
    (Path(__file__).parent.parent.parent / "schemas/output.schema.json").read_text()
)
QEMU_CONF: Final = "/etc/libvirt/qemu.conf"
LOCKD_CONF: Final = "/etc/libvirt/qemu-lockd.conf"
SOCKET: Final = "/run/libvirt/virtlockd-sock"


def configured(host: GuestHost, path: str, before: str, after: str) -> None:
    """Change a file of the configuration."""
    file = host.path(path)
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def nothing(_: GuestHost) -> None:
    """As it is: a lockspace, and lockd."""


def stopped(host: GuestHost) -> None:
    host.signal_lock_daemon(signal.SIGTERM)


def without_admin_socket(host: GuestHost) -> None:
    host.path("/run/libvirt/virtlockd-admin-sock").unlink()


def with_few_descriptors(host: GuestHost) -> None:
    for process in host.processes():
        if str(PROGRAM) in process.arguments[:3]:
            host.run("prlimit", "--nofile=40:40", "--pid", str(process.inner_pid))


def without_lockspace(host: GuestHost) -> None:
    shutil.rmtree(host.path(LOCKSPACE))


def with_a_file_for_it(host: GuestHost) -> None:
    without_lockspace(host)
    host.path(LOCKSPACE).touch()


def with_a_read_only_one(host: GuestHost) -> None:
    host.run("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", LOCKSPACE)


def with_a_full_one(host: GuestHost) -> None:
    host.run("mount", "-t", "tmpfs", "-o", "nr_inodes=1", "tmpfs", LOCKSPACE)


def with_a_changed_file(host: GuestHost) -> None:
    host.path("/etc/libvirt/virtlockd.conf").write_text("max_clients = 2000\n")
    host.run("touch", "--date=+1 minute", "/etc/libvirt/virtlockd.conf")


def with_a_changed_file_of_lockd(host: GuestHost) -> None:
    host.path("/etc/libvirt/lockd.conf").write_text('on_lockfailure = "pause"\n')
    host.run("touch", "--date=+1 minute", "/etc/libvirt/lockd.conf")


def with_a_reloaded_file(host: GuestHost) -> None:
    """A file that was changed, and that lockd has read since."""
    host.path("/etc/libvirt/virtlockd.conf").write_text("max_clients = 2000\n")
    before = host.run(str(PROGRAM), "status", "--json").said
    host.run("sleep", "1.1")  # files and lockd tell whole seconds
    host.signal_lock_daemon(signal.SIGUSR1)
    assert host.wait(lambda: since(host) > json.loads(before)["since"], 60)


def since(host: GuestHost) -> float:
    """When lockd started, as it says; 0 if it does not answer."""
    result = host.run(str(PROGRAM), "status", "--json")
    return float(json.loads(result.said)["since"]) if result.status == 0 else 0.0


def with_a_lost_lock(host: GuestHost) -> None:
    """Another process has the lock file's name, and locks it."""
    with Client(host.path(SOCKET)) as client:
        client.register("web", 5004242)
        client.acquire(LOCKSPACE, "disk")
    host.run("rm", f"{LOCKSPACE}/disk")
    host.run("touch", f"{LOCKSPACE}/disk")
    take = "import fcntl,sys,time; f=open(sys.argv[1],'r+'); fcntl.lockf(f,2); time.sleep(600)"
    background = 'python3 -c "$1" "$2" >/dev/null 2>&1 &'
    host.run("sh", "-c", background, "sh", take, f"{LOCKSPACE}/disk")
    assert host.wait(lambda: "DISK IN DANGER" in host.run(str(PROGRAM), "events").said, 60)


def with_no_manager(host: GuestHost) -> None:
    configured(host, QEMU_CONF, 'lock_manager = "lockd"\n', "")


def with_sanlock(host: GuestHost) -> None:
    configured(host, QEMU_CONF, '"lockd"', '"sanlock"')


def with_an_unknown_manager(host: GuestHost) -> None:
    configured(host, QEMU_CONF, '"lockd"', '"lokcd"')


def with_a_wrong_file(host: GuestHost) -> None:
    host.path(LOCKD_CONF).write_text("file_lockspace_dir = nowhere\n")


def with_virtlockd(host: GuestHost) -> None:
    """And lockd in its place, but not running."""
    host.run("mount", "-t", "tmpfs", "tmpfs", "/usr/local/sbin")
    host.run("ln", "-s", str(PROGRAM), "/usr/local/sbin/lockd")


#: What is done to the host; the codes of what is found; what its message and its advice say.
STATES: Final[dict[Callable[[GuestHost], None], tuple[str, str, str]]] = {
    nothing: ("", "", ""),
    stopped: ("no-lock-daemon", "no lock daemon runs, and none answers", "virtlockd.socket"),
    without_admin_socket: ("socket-silent", "lockd runs, but its admin socket", "admin.socket"),
    with_few_descriptors: ("descriptors", "of 40 descriptors", "LimitNOFILE"),
    without_lockspace: ("lockspace-missing", f"{LOCKSPACE}: the lockspace does not", "mount it"),
    with_a_file_for_it: ("lockspace-error", LOCKSPACE, "repair it"),
    with_a_read_only_one: ("lockspace-unlockable", "Read-only file system", "writable"),
    with_a_full_one: ("lockspace-unlockable", "No space left", "mount it"),
    with_a_changed_file: ("file-newer", "virtlockd.conf was changed after lockd", "reload"),
    with_a_changed_file_of_lockd: ("file-newer", "lockd.conf was changed after lockd", "reload"),
    with_a_lost_lock: ("lock-danger", f"{LOCKSPACE}/disk", "lockd status"),
    with_virtlockd: ("other-daemon", "a virtlockd holds the locks", "lockd takeover"),
    with_no_manager: ("", "", ""),
    with_an_unknown_manager: ("bad-setting", "'lokcd': libvirt refuses to start", "mean 'lockd'"),
    with_a_reloaded_file: ("", "", ""),
}


@pytest.mark.parametrize("state", STATES, ids=lambda each: each.__name__)
def test_what_it_says(tmp_path: Path, state: Callable[[GuestHost], None]) -> None:
    code, message, advice = STATES[state]
    daemon = Path(VIRTLOCKD) if state is with_virtlockd else Path(PROGRAM)
    with GuestHost(tmp_path / "host", daemon, {"file_lockspace_dir": LOCKSPACE}) as host:
        host.path(LOCKSPACE).mkdir(exist_ok=True)
        assert host.start_lock_daemon().status == 0
        state(host)
        status, report = doctor(host)
        found = {each["code"]: each for each in report["problems"] if each["severity"] != "info"}
        assert [*found] == ([code] if code else [])
        assert status == bool(code)
        if code:
            assert message in found[code]["message"]
            assert advice in found[code]["help"]


@pytest.mark.parametrize(
    ("state", "message"),
    [(with_a_wrong_file, f"{LOCKD_CONF}:1")],
)
def test_what_it_cannot_judge(
    tmp_path: Path, state: Callable[[GuestHost], None], message: str
) -> None:
    """It says so, and nothing is fine."""
    with GuestHost(tmp_path / "host", Path(PROGRAM), {"file_lockspace_dir": LOCKSPACE}) as host:
        state(host)
        result = host.run(str(PROGRAM.with_name("lockcfg")), "doctor")
        assert result.status in (1, 3)
        assert message in result.said
        assert "Traceback" not in result.said


def doctor(host: GuestHost) -> tuple[int, dict[str, Any]]:
    """Its exit status, and what it says."""
    result = host.run(str(PROGRAM.with_name("lockcfg")), "doctor", "--json")
    report = json.loads(result.said)
    jsonschema.validate(report, {**OUTPUT, "$ref": "#/$defs/doctor"})
    return result.status, report
