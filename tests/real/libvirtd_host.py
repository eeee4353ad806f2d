"""The real libvirtd and virtlockd, every start in namespaces of its own.

A start has its own /etc/libvirt, /run and directories below /var, no network but a loopback that
is down, and no process that outlives it. The rest of the machine is read-only to it.
"""

from __future__ import annotations

import itertools
import os
import shlex
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

MODULE: Final = "libvirt_driver_qemu.so"
LIBRARIES: Final = Path("/usr/lib")

#: A directory that is there, an absolute path to it, and a relative one: the daemons run in /.
DIRECTORY: Final = "/run/directory"
RELATIVE: Final = "run/directory"

#: Where huge pages are mounted.
HUGE_PAGES: Final = "/run/huge"

_SECONDS: Final = 90
_NO_NAMESPACE: Final = 99

#: Runs a shell script as the first process of namespaces of its own; it ends with its parent.
UNSHARE: Final = (
    *("unshare", "--mount", "--propagation", "private", "--net"),
    *("--pid", "--fork", "--kill-child", "--mount-proc"),
    *("sh", "-c"),
)


def namespace(mounts: str) -> str:
    """Shell commands that make the namespaces a host's, whose files are in ``$1``.

    ``mounts`` are the host's own. / becomes read-only last: a bind mount has the flags of what it
    is made from. Firmware descriptions would make libvirt ignore the setting nvram.
    """
    return f"""
{{
    mount --bind "$1/etc" /etc/libvirt &&
    mount --bind "$1/run" /run &&
    for directory in /var/lib/libvirt /var/cache/libvirt /var/log/libvirt \
        /etc/qemu/firmware /usr/share/qemu/firmware
    do
        [ ! -d "$directory" ] || mount -t tmpfs tmpfs "$directory" || exit
    done &&
    {mounts} &&
    mount -o remount,bind,ro / &&
    cd /
}} || exit {_NO_NAMESPACE}
"""


_NAMESPACE: Final = namespace(f"mount -t hugetlbfs hugetlbfs {HUGE_PAGES}")
# The first process of a daemon that puts itself into the background ends when the other is ready.
_VIRTLOCKD: Final = "virtlockd --daemon && test -S /run/libvirt/virtlockd-sock\n"
_WITH_VIRTLOCKD: Final = f"{{ {_VIRTLOCKD.strip()}; }} || exit {_NO_NAMESPACE}\n"
_LIBVIRTD: Final = "exec libvirtd\n"

_LIBVIRTD_CONF: Final = """\
log_filters = "1:libvirt"
log_outputs = "1:stderr"
"""


def environment(directory: Path) -> dict[str, str]:
    """What a daemon's environment is: of all its drivers libvirtd loads QEMU's, and takes 20 ms.

    ``directory`` takes the directory of drivers.
    """
    modules = directory / "modules"
    modules.mkdir()
    (module,) = LIBRARIES.glob(f"*/libvirt/connection-driver/{MODULE}")
    (modules / MODULE).symlink_to(module)
    return {
        "PATH": os.defpath + ":/usr/sbin:/sbin",
        "LC_ALL": "C",
        "LIBVIRT_DRIVER_DIR": str(modules),
    }


class Outcome(NamedTuple):
    """Whether the daemon came up with its configuration, and what it logged."""

    started: bool
    log: str


class Host:
    """Starts daemons, as root. ``directory`` takes their files."""

    def __init__(self, directory: Path) -> None:
        self._directory: Final = directory
        self._count: Final = itertools.count()
        self._environment: Final = environment(directory)

    def version(self) -> tuple[int, ...]:
        """The release of libvirt that is installed."""
        output = subprocess.run(
            ["libvirtd", "--version"], check=True, capture_output=True, text=True
        ).stdout
        return tuple(int(number) for number in output.split()[-1].split("."))

    def libvirtd(self, files: Mapping[str, str], *, lock_daemon: bool = False) -> Outcome:
        """Start libvirtd on ``files``, see whether its QEMU driver comes up, and end it.

        With ``lock_daemon`` there is a virtlockd that it can talk to.
        """
        script = _NAMESPACE + (_WITH_VIRTLOCKD if lock_daemon else "") + _LIBVIRTD
        log: list[str] = []
        with self._popen(script, {"libvirtd.conf": _LIBVIRTD_CONF, **files}) as process:
            # Whichever way it goes: the namespaces' first process dies with its parent, and all
            # that is in them with that.
            watchdog = threading.Timer(_SECONDS, process.kill)
            watchdog.start()
            try:
                started = self._driver_started(process, log)
            finally:
                watchdog.cancel()
                process.kill()
        if started is None:
            raise RuntimeError(f"libvirtd said nothing of its QEMU driver:\n{''.join(log)}")
        return Outcome(started, "".join(log))

    def run(
        self, files: Mapping[str, str], *command: str | Path
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the host with ``files``."""
        script = f"{_NAMESPACE}exec {shlex.join(map(str, command))}\n"
        with self._popen(script, files) as process:
            try:
                output, _ = process.communicate(timeout=_SECONDS)
            finally:
                process.kill()
        return subprocess.CompletedProcess(command, process.returncode, output)

    def virtlockd(self, files: Mapping[str, str]) -> Outcome:
        """Start virtlockd on ``files``, see whether it comes up, and end it."""
        with self._popen(_NAMESPACE + _VIRTLOCKD, files) as process:
            try:
                log, _ = process.communicate(timeout=_SECONDS)
            finally:
                process.kill()
        if process.returncode == _NO_NAMESPACE:
            raise RuntimeError(f"no namespace to start virtlockd in:\n{log}")
        return Outcome(process.returncode == 0, log)

    def _popen(self, script: str, files: Mapping[str, str]) -> subprocess.Popen[str]:
        root = self._directory / str(next(self._count))
        for name in ("etc", "run", f"./{DIRECTORY}", f"./{HUGE_PAGES}"):
            (root / name).mkdir(parents=True)
        for name, text in files.items():
            (root / "etc" / name).write_text(text)
        return subprocess.Popen(
            [*UNSHARE, script, "sh", root],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=self._environment,
        )

    @staticmethod
    def _driver_started(process: subprocess.Popen[str], log: list[str]) -> bool | None:
        assert process.stdout is not None
        driver = ""
        for line in process.stdout:
            log.append(line)
            if "Running global init for" in line:
                driver = line.split()[-3]
            elif "State init result" in line and driver == "QEMU":
                # 0 is a driver that has nothing to do, -1 one that failed. The exit status of
                # libvirtd is 0 either way.
                return "State init result 1 " in line
        return None
