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
SOCKET: Final = Path("/run/libvirt/virtlockd-sock")
SPACE: Final = Path("/srv/locks")

#: Only what hangs takes longer, in seconds; the machine is emulated.
PATIENCE: Final = 120


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


def images() -> set[tuple[int, bytes]]:
    """The processes of lockd, and the addresses that each program got when it started."""
    return {(pid, Path(f"/proc/{pid}/auxv").read_bytes()) for pid, _ in daemons()}


def is_free(name: str) -> bool:
    """Whether another client is granted the lock; it is given back at once."""
    with Client(SOCKET) as client:
        client.register("rival", id=2, uuid=bytes([2]) * 16)
        free = client.can_acquire(SPACE, name)
        if free:
            client.release(SPACE, name)
        return free


def main() -> None:
    """Start it, lock, have it start again, and end the guest."""
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
    subprocess.run(
        [PROGRAM, "--daemon", "--pid-file", "/run/virtlockd.pid"], check=True, timeout=PATIENCE
    )
    seen["confined by"] = sorted({name for _, name in daemons()})
    guest = subprocess.Popen(["sleep", "10000"])
    client = Client(SOCKET)
    client.register("guest", guest.pid, id=1, uuid=bytes([1]) * 16)
    client.create_lockspace(SPACE)
    client.acquire(SPACE, "disk")
    client.close()
    seen["locked"] = not is_free("disk")
    before = images()
    os.kill(int(Path("/run/virtlockd.pid").read_text()), signal.SIGUSR1)
    seen["it starts again"] = wait_for(lambda: bool(images() - before))
    seen["still locked"] = not is_free("disk")
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
