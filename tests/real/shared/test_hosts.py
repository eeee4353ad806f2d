"""The hosts of these tests leave nothing behind, however a test ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.real.shared.gluster import MOUNT, gluster_network

_HOLD = """
import sys, time
from pathlib import Path
from tests.real.shared.gluster import gluster_network
with gluster_network(Path(sys.argv[1])) as hosts:
    print(*(f"/proc/{host.pid}/ns/mnt" for host in [hosts.server, *hosts.clients]), flush=True)
    time.sleep(60)
"""


def _users(namespaces: set[str]) -> set[str]:
    """The processes that are in one of these mount namespaces."""
    users = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "ns/mnt") in namespaces:
                users.add(process.name)
        except OSError:
            pass  # it has just ended
    return users


def test_they_are_up_in_no_time(tmp_path: Path) -> None:
    """Two hosts and a volume cost well under two seconds, so that a test can have its own. What
    else the machine does counts less in the shortest of some times."""
    took = []
    for number in range(3):
        directory = tmp_path / str(number)
        directory.mkdir()
        begun = time.monotonic()
        with gluster_network(directory) as hosts:
            took.append(time.monotonic() - begun)
            one, two = hosts.clients
            one.sh(f"hostname >{MOUNT}/name")
            assert two.run("cat", f"{MOUNT}/name") == "one\n"
    assert min(took) < 2


def test_nothing_is_left_when_a_test_fails(tmp_path: Path) -> None:
    """No process, and so no mount and no interface."""
    namespaces: set[str] = set()

    def fail() -> None:
        with gluster_network(tmp_path) as hosts:
            for host in (hosts.server, *hosts.clients):
                namespaces.add(os.readlink(f"/proc/{host.pid}/ns/mnt"))
            assert len(_users(namespaces)) > len(namespaces)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not _users(namespaces)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_tests_are_ended(tmp_path: Path, how: signal.Signals) -> None:
    """From the keyboard, or with no chance to tidy up."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, tmp_path],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        namespaces = {os.readlink(link) for link in process.stdout.readline().split()}
        assert _users(namespaces)
        process.send_signal(how)
        process.wait()
    deadline = time.monotonic() + 5
    while _users(namespaces) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _users(namespaces)
