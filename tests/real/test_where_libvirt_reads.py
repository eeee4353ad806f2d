"""Where the libvirt that is installed looks for its configuration: in /etc/libvirt alone.

lockcfg reads no other place. Other software reads the files that a distribution ships in /usr and
pieces in a directory besides; a libvirt that begins to do so fails here.
"""

from __future__ import annotations

import os
import re
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lockcfg.conf.files import KINDS
from tests.real.guest_host import LOCKSPACE, Disk, GuestHost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

#: What the system was asked for by a name, whether or not it was there.
_PATH: Final = re.compile(r'"((?:/[^"]*)?/[^"/]+)"')
#: A name of one of the files, or of a directory with pieces of one.
_NAME: Final = re.compile("|".join(re.escape(name) + r"(?:\.d)?(?:/|\Z)" for name in KINDS))


@contextmanager
def traced(host: GuestHost, program: str, asked: set[str]) -> Iterator[None]:
    """Run a daemon, and collect the paths with a name of a configuration file that it asks for."""
    command = (
        "strace",
        "-f",
        "-qq",
        "--seccomp-bpf",
        "-e",
        "trace=%file",
        "-o",
        "/srv/trace",
        program,
    )
    strace = host.popen(*command)
    yield
    (daemon,) = (each for each in host.processes() if each.arguments[0] == program)
    os.kill(daemon.pid, signal.SIGTERM)
    said = strace.communicate()[0]
    trace = host.path("/srv/trace").read_text(errors="replace")
    assert "execve" in trace, said
    asked.update(path for path in _PATH.findall(trace) if _NAME.search(path))


def test_only_in_etc(tmp_path: Path) -> None:
    """The lock daemon's own file; and the driver's and its plugin's, with a guest that starts."""
    virtlockd = Path("/usr/sbin/virtlockd")
    asked: set[str] = set()
    with GuestHost(tmp_path / "host", virtlockd, {"file_lockspace_dir": LOCKSPACE}) as host:
        with traced(host, str(virtlockd), asked):
            assert host.wait(host.path("/run/libvirt/virtlockd-sock").exists)
        assert asked == {"/etc/libvirt/virtlockd.conf"}
        assert host.start_lock_daemon().status == 0
        asked.clear()
        with traced(host, "libvirtd", asked):
            assert host.wait(lambda: host.virsh("version").status == 0, 30)
            host.define("guest", (Disk(host.make_disk("disk")),))
            assert host.virsh("start guest").status == 0
            assert host.state().locks
            assert host.virsh("destroy guest").status == 0
        assert asked == {"/etc/libvirt/qemu.conf", "/etc/libvirt/qemu-lockd.conf"}
