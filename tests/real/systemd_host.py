"""The real systemd, as the first process of namespaces of its own, with lockd as a service.

Nothing of the machine can be reached from there but by reading: every place that systemd or its
services write to is a file system in memory, and of the machine's own units there are none but
targets and slices, so that nothing is started that a test has not asked for.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final, Self

PROJECT: Final = Path(__file__).parent.parent.parent

#: The unit that the tests are about.
SERVICE: Final = "virtlockd.service"

_SECONDS: Final = 120
_ENVIRONMENT: Final = {"PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
_UNITS: Final = "/usr/lib/systemd/system"

# / becomes read-only as the last of all; the places for systemd were covered before.
_BOOT: Final = f"""
set -e
mount -t cgroup2 cgroup2 "$1/cgroup"
mkdir -p "$1/cgroup/$2"
echo $$ > "$1/cgroup/$2/cgroup.procs"
umount "$1/cgroup"
exec unshare --cgroup sh -ec '
    mount -t tmpfs tmpfs /mnt
    mkdir /mnt/dev /mnt/units /mnt/host /mnt/dev/shm
    mount --bind "$1" /mnt/host
    cp {_UNITS}/*.target {_UNITS}/*.slice {_UNITS}/libvirtd* {_UNITS}/virtlo* /mnt/units/
    for node in null zero full random urandom; do
        touch /mnt/dev/$node
        mount --bind /dev/$node /mnt/dev/$node
    done
    mount --rbind /mnt/dev /dev
    echo 512 > /proc/sys/net/unix/max_dgram_qlen  # as systemd sets it, where it may
    mount -o bind,ro /proc/sys /proc/sys
    mount -t sysfs -o ro sysfs /sys
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    for directory in {_UNITS} {_UNITS}-generators {_UNITS.removesuffix("system")}system-shutdown \
        /etc/systemd /etc/init.d /etc/libvirt /run /srv /usr/local /var
    do
        [ ! -d "$directory" ] || mount -t tmpfs -o mode=755 tmpfs "$directory"
    done
    cp /mnt/units/* {_UNITS}/
    mkdir /mnt/sbin /mnt/work
    mount -t overlay -o lowerdir=/usr/sbin,upperdir=/mnt/sbin,workdir=/mnt/work overlay /usr/sbin
    rm -f /usr/sbin/policy-rc.d  # that of the machine
    mkdir -p /etc/systemd/system /srv/host
    mkdir -p /var/log/libvirt /var/lib/libvirt /var/cache/libvirt
    ln -s /run /var/run
    mount --bind /mnt/host /srv/host
    mount -t tmpfs tmpfs /tmp
    mount -o remount,bind,ro /
    mount --make-rshared /  # as systemd does where it is in no container
    cd /
    exec env -i container=test PYTHONPYCACHEPREFIX=/srv/host/compiled \
        /lib/systemd/systemd --unit=sysinit.target --show-status=no --log-target=null
' sh "$1"
"""


class SystemdHost:
    """Boots systemd, as root. ``directory`` takes its files; it is /srv/host inside."""

    def __init__(self, directory: Path) -> None:
        self._directory: Final = directory
        self._cgroup: Final = f"lockd-test-{os.getpid()}"
        self._process: subprocess.Popen[bytes] | None = None
        self._started: Final[list[subprocess.Popen[str]]] = []
        self._init = 0

    def __enter__(self) -> Self:
        (self._directory / "cgroup").mkdir()
        with (self._directory / "boot.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *("unshare", "--mount", "--propagation", "private", "--net", "--ipc", "--uts"),
                    *("--pid", "--fork", "--kill-child", "--mount-proc"),
                    *("sh", "-c", _BOOT, "sh", self._directory, self._cgroup),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _SECONDS
        while not self._is_up():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise RuntimeError(f"no systemd: {(self._directory / 'boot.log').read_text()}")
            time.sleep(0.05)
        return self

    def _is_up(self) -> bool:
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if not children:
            return False
        self._init = int(children[0])
        return "running" in self.run("systemctl", "is-system-running", check=False)

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()  # and with it, by --kill-child, all that is in its namespaces
        self._process.wait()
        script = 'mount -t cgroup2 cgroup2 "$1" && find "$1/$2" -depth -type d -exec rmdir {} +'
        command = ["unshare", "--mount", "sh", "-c", script, "sh"]
        deadline = time.monotonic() + _SECONDS
        while subprocess.run(
            [*command, self._directory / "cgroup", self._cgroup], capture_output=True
        ).returncode:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the control group {self._cgroup} is not to be removed")
            time.sleep(0.05)  # its last processes are ending

    def command(self, *command: str | Path, directory: Path | str = "/") -> list[str | Path]:
        """How to run a command inside, in a directory there."""
        nsenter = ["nsenter", "--target", str(self._init), "--all", f"--wdns={directory}"]
        return [*nsenter, *command]

    def run(self, *command: str | Path, check: bool = True) -> str:
        """Run a command inside; returns what it prints."""
        result = subprocess.run(
            self.command(*command),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_ENVIRONMENT,
            text=True,
            timeout=_SECONDS,
        )
        assert not check or result.returncode == 0, result.stdout
        return result.stdout

    def popen(self, *command: str | Path, directory: Path | str = "/") -> subprocess.Popen[str]:
        """Start a command inside, with pipes to and from it; :meth:`end_started` ends it."""
        process = subprocess.Popen(
            self.command(*command, directory=directory),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_ENVIRONMENT,
            text=True,
        )
        self._started.append(process)
        return process

    def end_started(self) -> None:
        """End all that :meth:`popen` has started."""
        for process in self._started:
            process.kill()
            process.communicate()
        self._started.clear()

    def write(self, path: str, text: str) -> None:
        """Write a file inside."""
        subprocess.run(
            self.command("tee", path),
            input=text,
            stdout=subprocess.DEVNULL,
            text=True,
            check=True,
        )

    def property(self, name: str, unit: str = SERVICE) -> str:
        """A property of a unit, as ``systemctl show`` has it."""
        return self.run("systemctl", "show", unit, "--value", "-p", name).strip()
