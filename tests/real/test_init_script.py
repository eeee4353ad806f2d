"""The init script, for hosts without systemd, as such a host runs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.lockd.engine import PROGRAM
from tests.real.systemd_host import PROJECT

#: Installed as docs/explanation/lockd.md says, with the places of a host in memory; ``say`` runs
#: the script and prints its status.
_HOST = """
for directory in /run /srv /usr/local /etc/libvirt /etc/systemd /etc/init.d /var/log/libvirt; do
    mount -t tmpfs -o mode=755 tmpfs "$directory" || exit 99
done
packaging/install-lockd "$1" || exit 99
python=$2
say() { /etc/init.d/virtlockd "$1"; echo "$1: $?"; }
pid() { cat /run/virtlockd.pid; }
daemon() { lockd status --json | sed -n 's/ *"pid": \\(.*\\),/\\1/p'; }
settled() { until lockd status >/dev/null 2>&1; do sleep 0.05; done; }
guest() {
    mkfifo /run/input
    "$python" -m tests.lockd.guest /run/libvirt/virtlockd-sock /srv/locks disk \\
        </run/input >/run/output &
    guest=$!
    exec 3>/run/input
    until grep -q holds /run/output 2>/dev/null; do sleep 0.05; done
}
PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
"""


def play(script: str) -> list[str]:
    """What a few commands on such a host print."""
    done = subprocess.run(
        [
            *("unshare", "--mount", "--propagation", "private", "--net"),
            *("--pid", "--fork", "--kill-child", "--mount-proc"),
            *("sh", "-c", _HOST + script, "sh", PROGRAM, sys.executable),
        ],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
    # That nothing is shared with other hosts here is not what this is about.
    return [line for line in done.stdout.splitlines() if not line.startswith("lockd: warning: ")]


def test_from_start_to_stop() -> None:
    """With LSB's exit statuses, whatever is asked in whatever state."""
    assert play("""
say status; say stop; say reload; say try-restart
say start; one=$(pid); say start >/dev/null; [ "$(pid)" = "$one" ] && echo same
/etc/init.d/virtlockd status | tr -d 0-9
say stop; say status; ls /run/libvirt /run/virtlockd.pid 2>/dev/null
/etc/init.d/virtlockd nonsense >/dev/null 2>&1; echo "nonsense: $?"
""") == [
        *("lockd is not running.", "status: 3", "lockd is not running.", "stop: 0"),
        *("lockd is not running.", "reload: 7", "try-restart: 0"),
        *("start: 0", "same", "lockd is running, with pid ."),
        *("stop: 0", "lockd is not running.", "status: 3", "/run/libvirt:", "nonsense: 2"),
    ]


@pytest.mark.parametrize("command", ["reload", "force-reload", "restart", "try-restart"])
def test_what_keeps_the_locks(command: str) -> None:
    """None of these ends a guest: lockd goes on as the version that is installed."""
    assert play(f"""
say start; settled; guest
before=$(lockd status --json | grep since)
say {command}
until [ "$(lockd status --json | grep since)" != "$before" ]; do sleep 0.05; done
echo asked >&3
until grep -q "is locked by guest" /run/output; do sleep 0.05; done
kill -0 $guest && echo "the guest is there"
""") == ["start: 0", f"{command}: 0", "the guest is there"]


def test_stop_ends_the_guests() -> None:
    """As virtlockd does."""
    assert play("""
say start; settled; guest
say stop
wait $guest; echo "guest: $?"
ls /srv/locks
""") == ["start: 0", "stop: 0", "guest: 143"]


def test_a_bad_configuration() -> None:
    """Nothing starts with it, and what runs goes on without it."""
    lines = play("""
say start; settled
echo x > /etc/libvirt/virtlockd.conf
say reload
say status
say stop
say start
""")
    reason = (
        "lockd: /etc/libvirt/virtlockd.conf:1:2: expecting an assignment"
        " (remove the line: libvirt has no such setting)"
    )
    assert [line for line in lines if "is running" not in line] == [
        *("start: 0", reason, "reload: 6", "status: 0", "stop: 0", reason, "start: 78"),
    ]


def test_killed() -> None:
    """A PID file that is left behind is no lockd; and lockd killed by itself comes back."""
    lines = play("""
say start; settled
daemon=$(daemon)
kill -STOP $daemon  # or it could have another supervisor before it is killed itself
kill -KILL $(pid) $daemon
while [ -e /proc/$(pid) ] || [ -e /proc/$daemon ]; do sleep 0.05; done
say status
say start; settled
kill -KILL $(daemon)
settled
say status
say stop
""")
    assert [line for line in lines if "lockd is" not in line] == [
        *("start: 0", "status: 1", "start: 0", "status: 0", "stop: 0")
    ]


def test_where_libvirt_looks_for_it() -> None:
    """For VIRTLOCKD_PATH: under virtlockd's name, which makes no difference to it."""
    (line,) = play("/usr/local/libexec/lockd/virtlockd --version")
    assert line.startswith("virtlockd (lockcfg) ")
