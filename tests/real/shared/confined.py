"""Runs in the virtual machine, whose kernel has AppArmor: lockd from the places of the Debian
package, under its profile, which is enforced.

    python -m tests.real.shared.confined

Prints what came of it as JSON.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lockd.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

ROOT: Final = Path(__file__).parents[3]
PROGRAM: Final = Path("/usr/sbin/lockd")
PACKAGES: Final = Path("/usr/lib/python3/dist-packages")
PID_FILE: Final = Path("/run/virtlockd.pid")
SOCKET: Final = Path("/run/libvirt/virtlockd-sock")
SPACE: Final = Path("/srv/locks")

#: Only what hangs takes longer, in seconds; the machine is emulated.
PATIENCE: Final = 120

#: How often the daemon is killed.
CRASHES: Final = 3


def wait_for(condition: Callable[[], bool]) -> bool:
    """Whether it comes true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def install() -> None:
    """Lay out the files of the package, and load its profile to be enforced."""
    for name in ("lockcfg", "lockd"):
        shutil.copytree(ROOT / name, PACKAGES / name)
    for name in ("lenses", "schemas"):
        shutil.copytree(ROOT / name, PACKAGES / "lockcfg" / name)
    shutil.copy(ROOT / "packaging/launchers/lockd", PROGRAM)
    PROGRAM.chmod(0o755)
    subprocess.run(["mount", "-t", "securityfs", "none", "/sys/kernel/security"], check=True)
    text = (ROOT / "packaging/apparmor/usr.sbin.lockd").read_text()
    assert text.count(", complain)") == 1
    profile = Path("/run/profile")
    profile.write_text(text.replace(", complain)", ")"))
    subprocess.run(
        ["apparmor_parser", "--replace", "--skip-cache", profile], check=True, timeout=600
    )


def daemons() -> Iterator[tuple[int, str]]:
    """The processes of lockd, and what confines each."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(PROGRAM).encode() in (process / "cmdline").read_bytes():
                yield int(process.name), (process / "attr/current").read_text().strip()
        except OSError:
            continue  # it has ended


def daemon() -> tuple[str, bytes]:
    """The process that has the locks, and the addresses that its program got when it started; it is
    the supervisor's only child. An upgrade starts another process first, which tries whether the
    program can take over: that one is a child of the daemon."""
    supervisor = PID_FILE.read_text()
    pid = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().strip()
    try:
        return pid, Path(f"/proc/{pid}/auxv").read_bytes() if pid else b""
    except OSError:
        return "", b""  # it has ended


def starts_again(number: signal.Signals, pid: str) -> bool:
    """Whether a signal to this process leads to another daemon, or to the same process with its
    program loaded again."""
    before = daemon()
    os.kill(int(pid), number)
    return wait_for(lambda: daemon() not in (before, ("", b"")))


def is_free(name: str) -> bool:
    """Whether another client is granted the lock; it is given back at once."""
    with Client(SOCKET) as client:
        client.register("rival", id=2, uuid=bytes([2]) * 16)
        free = client.can_acquire(SPACE, name)
        if free:
            client.release(SPACE, name)
        return free


def main() -> None:
    """Start it, lock, have it start again, kill it, and end the guest."""
    install()
    seen: dict[str, object] = {}
    etc = Path("/etc/libvirt")
    etc.mkdir(exist_ok=True)
    (etc / "virtlockd.conf").write_text('log_outputs = "1:file:/var/log/libvirt/lockd.log"\n')
    Path("/var/log/libvirt").mkdir(parents=True, exist_ok=True)
    tried = Path("/srv/program")
    shutil.copy("/bin/true", tried)
    other = subprocess.run(
        ["aa-exec", "-p", "lockd", "--", "/bin/sh", "-c", str(tried)], capture_output=True
    )
    seen["it may start what is not in its profile"] = other.returncode == 0
    subprocess.run([PROGRAM, "--daemon", "--pid-file", PID_FILE], check=True, timeout=PATIENCE)
    seen["confined by"] = sorted({name for _, name in daemons()})
    guest = subprocess.Popen(["sleep", "10000"])
    client = Client(SOCKET)
    client.register("guest", guest.pid, id=1, uuid=bytes([1]) * 16)
    client.create_lockspace(SPACE)
    client.acquire(SPACE, "disk")
    client.close()
    seen["locked"] = not is_free("disk")
    seen["it starts again"] = starts_again(signal.SIGUSR1, PID_FILE.read_text())
    seen["still locked"] = not is_free("disk")
    for _ in range(CRASHES):
        seen["it starts again after a crash"] = starts_again(signal.SIGKILL, daemon()[0])
        seen["still locked after it"] = not is_free("disk")
        if not (seen["it starts again after a crash"] and seen["still locked after it"]):
            break
    seen["confined then by"] = sorted({name for _, name in daemons()})
    status = subprocess.run([PROGRAM, "locks"], capture_output=True, text=True, timeout=PATIENCE)
    seen["tells the guest"] = "guest" in status.stdout
    guest.kill()
    guest.wait()
    seen["free when the guest has ended"] = wait_for(lambda: is_free("disk"))
    kernel = subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout
    seen["denied"] = sorted(
        {
            re.sub(r" pid=[0-9]+", "", line.partition('apparmor="DENIED" ')[2])
            for line in kernel.splitlines()
            if 'apparmor="DENIED"' in line and str(tried) not in line
        }
    )
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
