"""How lockd starts, with and without success, beside the real virtlockd: same command line, same
exit status, in namespaces of their own."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.lockd.engine import PROGRAM

if TYPE_CHECKING:
    from typing import Final

VIRTLOCKD: Final = Path("/usr/sbin/virtlockd")

_NAMESPACE: Final = (
    *("unshare", "--mount", "--propagation", "private", "--net"),
    *("--pid", "--fork", "--kill-child", "--mount-proc"),
    *("sh", "-c"),
)
_MOUNTS: Final = """
for directory in /run /etc/libvirt /var/log/libvirt; do
    mount -t tmpfs -o mode=755 tmpfs "$directory" || exit 99
done
cd /
"""

#: How long a daemon that comes up runs before it is ended, in seconds.
_UP: Final = 3


class Outcome(NamedTuple):
    """How a start went; one that comes up is ended after a while, with status 0."""

    status: int
    stdout: str
    stderr: str


def start(program: Path, arguments: str, before: str = "") -> Outcome:
    """Start a lock daemon after a few commands of the shell. The shell stays: as process 1 timeout
    of coreutils 9.10 takes its child's parent for dead, and does not run the command."""
    limited = f'timeout --signal=TERM --preserve-status {_UP} "$0" {arguments}'
    script = f"{_MOUNTS}{before}\n{limited}\nexit $?"
    done = subprocess.run(
        [*_NAMESPACE, script, program],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=30,
    )
    assert done.returncode != 99, done.stderr
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ("-V", 0),
        ("-h", 0),
        ("--hel", 0),
        ("-x", 1),
        ("--bogus", 1),
        ("-V -x", 0),
        ("-x -V", 1),
        ("-h -x", 0),
        ("-t", 1),
        ("-t abc", 1),
        ("-t abc -V", 1),
        ("-t -1", 1),
        ("-t 99999999999", 1),
        ("-f", 1),
        ("--config", 1),
        ("-p", 1),
        ("--v", 1),
        ("--ver", 1),
        ("-vV", 0),
        ("-t1 -V", 0),
        ("word --timeo=1 word -- -x", 0),
    ],
)
def test_the_command_line(arguments: str, status: int) -> None:
    """It is virtlockd's, with abbreviations, and each option in its turn."""
    theirs = start(VIRTLOCKD, arguments)
    ours = start(PROGRAM, arguments)
    assert ours.status == theirs.status == status
    assert bool(ours.stdout) == bool(theirs.stdout)
    # What asks for the help, or is wrong, is answered on standard error.
    if theirs.stderr:
        assert ours.stderr


def test_what_virtlockd_takes_and_lockd_does_not() -> None:
    """A number with something behind it."""
    assert start(VIRTLOCKD, "-t 1x").status == 0
    assert start(PROGRAM, "-t 1x").status == 1


@pytest.mark.parametrize("daemon", ["", "-d"])
@pytest.mark.parametrize(
    ("before", "arguments", "statuses", "text"),
    [
        ("", "-p /nope/x.pid", (1, 1), "No such file or directory"),
        ('"$0" -d', "", (1, 1), "Failed to acquire pid file '/run/virtlockd.pid'"),
        (": > /run/libvirt", "", (2, 2), "unable to create rundir /run/libvirt: "),
        ("mkdir -p /run/libvirt/virtlockd-sock", "", (6, 1), "Failed to bind socket to "),
    ],
    ids=["no-directory-for-the-pid-file", "taken", "no-run-directory", "no-socket"],
)
def test_a_start_that_fails(
    before: str, arguments: str, statuses: tuple[int, int], text: str, daemon: str
) -> None:
    """In the foreground and in the background it ends with virtlockd's status, and says why."""
    theirs = start(VIRTLOCKD, f"{daemon} {arguments}", before)
    ours = start(PROGRAM, f"{daemon} {arguments}", before)
    assert ours.status == theirs.status == statuses[bool(daemon)]
    if not daemon:
        assert text in theirs.stderr
        assert text in ours.stderr
        assert "Traceback" not in ours.stderr
    elif theirs.stderr:
        # "…: error: Unable to obtain pidfile."
        reason = theirs.stderr.split(": error: ")[1].partition(".")[0]
        assert f": error: {reason}." in ours.stderr


def test_no_place_for_the_log() -> None:
    """A daemon in the background that has no way to report a danger does not start."""
    for program in (VIRTLOCKD, PROGRAM):
        ours = start(program, "-d", "mount -t tmpfs tmpfs /var/log")
        assert ours.status == 1
        assert "/var/log/libvirt/virtlockd.log: No such file or directory" in ours.stderr


@pytest.mark.parametrize("daemon", ["", "-d"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x\n", "/etc/libvirt/virtlockd.conf:1:2: expecting an assignment"),
        ('max_clients = "a"\n', "/etc/libvirt/virtlockd.conf:1:15: 'max_clients' takes"),
    ],
    ids=["syntax", "type"],
)
def test_a_bad_configuration(text: str, message: str, daemon: str) -> None:
    """Its place is told, and the status is another than virtlockd's: 78, before anything is
    there."""
    before = f"printf '{text}' > /etc/libvirt/virtlockd.conf"
    assert start(VIRTLOCKD, daemon, before).status == 1
    ours = start(PROGRAM, daemon, before)
    assert ours.status == 78
    assert message in ours.stderr
    listing = f'{before}; "$0" {daemon}; find /run -mindepth 1 -not -name mount >&2'
    assert start(PROGRAM, "-V", listing).stderr.splitlines()[1:] == []


#: What can be seen of a daemon in the background: its pid, session, directory, umask,
#: standard input, the PID file and the sockets with their modes.
_LOOK: Final = """
"$0" -d -p /run/x.pid || exit 1
pid=$(cat /run/x.pid)
[ "$(ps -o sid= -p $pid)" -ne $pid ] && echo "no session leader"
[ "$(ps -o sid= -p $pid)" -ne "$(ps -o sid= -p $$)" ] && echo "a session of its own"
readlink /proc/$pid/cwd /proc/$pid/fd/0 /proc/$pid/fd/1 /proc/$pid/fd/2
grep Umask /proc/$pid/status
stat -c '%n %A %U' /run/x.pid /run/libvirt /run/libvirt/virtlockd-sock \
    /run/libvirt/virtlockd-admin-sock
[ "$(wc -c < /run/x.pid)" -eq ${#pid} ] && echo "nothing but the number"
lslocks --noheadings --output PATH | grep -x /run/x.pid
kill $pid
while [ -e /proc/$pid ]; do sleep 0.05; done
ls -A /run /run/libvirt
"""


def test_in_the_background() -> None:
    """A daemon as virtlockd is one, and nothing is left of it afterwards."""
    theirs = start(VIRTLOCKD, "-V", _LOOK).stdout.splitlines()
    ours = start(PROGRAM, "-V", _LOOK).stdout.splitlines()
    assert "nothing but the number" in theirs
    # The lock of its PID file outlives a crash, and such locks an older lslocks cannot name;
    # /run/mount is what mount(8) leaves, and -V prints the last line.
    theirs.remove("/run/x.pid")
    if "/run/x.pid" in ours:
        ours.remove("/run/x.pid")
    assert ours[:-1] == theirs[:-1]


@pytest.mark.parametrize("signal", ["TERM", "INT", "QUIT"])
def test_it_ends_when_it_is_asked_to(signal: str) -> None:
    """With status 0, and takes its files away."""
    before = f"""
"$0" </dev/null >/dev/null 2>&1 &
pid=$!
until [ -S /run/libvirt/virtlockd-admin-sock ]; do sleep 0.05; done
sleep 0.5
kill -{signal} $pid
wait $pid
echo "status $?"
ls -A /run/libvirt
ls /run/*.pid
"""
    for program in (VIRTLOCKD, PROGRAM):
        assert start(program, "-V", before).stdout.splitlines()[:-1] == ["status 0"]
