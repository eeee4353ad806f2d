"""Where the daemon has its files, and where libvirt has those that the daemon reads."""

from __future__ import annotations

import os

from lockd.daemon.options import BAD_RUN_DIRECTORY, OK, complain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


class Paths:
    """Where the daemon of this user has its files."""

    def __init__(self) -> None:
        self.privileged: Final = os.geteuid() == 0
        cache = os.path.join(
            os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "libvirt"
        )
        if self.privileged:
            self.run = "/run/libvirt"
            self.log = "/var/log/libvirt/virtlockd.log"
            self.pid_file = "/run/virtlockd.pid"
        else:
            runtime = os.environ.get("XDG_RUNTIME_DIR")
            self.run = os.path.join(runtime, "libvirt") if runtime else cache
            self.log = os.path.join(cache, "virtlockd.log")
            self.pid_file = os.path.join(self.run, "virtlockd.pid")

    def socket(self, service: str) -> str:
        """The socket of a service."""
        return os.path.join(
            self.run, "virtlockd-admin-sock" if service == "admin" else "virtlockd-sock"
        )

    @property
    def restart_file(self) -> str:
        """The file in which virtlockd and lockd hand over to each other."""
        directory = "/run" if self.privileged else self.run
        return os.path.join(directory, "virtlockd-restart-exec.json")

    @property
    def virtlockd(self) -> str:
        """Where the virtlockd program is while lockd is in its place."""
        return os.path.join(self.run, "virtlockd-before-lockd")

    @property
    def notify(self) -> str:
        """The notify socket of lockd's supervisor."""
        return os.path.join(self.run, "virtlockd-notify")

    def descriptions(self) -> list[str]:
        """The directories where libvirt describes guests, running guests first."""
        if self.privileged:
            return [
                "/run/libvirt/qemu",
                "/etc/libvirt/qemu",
                "/run/libvirt/libxl",
                "/etc/libvirt/libxl",
            ]
        from lockd.daemon.settings import configuration_directory

        return [
            os.path.join(self.run, "qemu", "run"),
            os.path.join(configuration_directory(), "qemu"),
        ]


def make_run_directory(paths: Paths) -> int:
    """Make the directory of the sockets if it is missing. Returns the exit status."""
    try:
        os.makedirs(paths.run, 0o755 if paths.privileged else 0o700, exist_ok=True)
    except OSError as error:
        complain(f"unable to create rundir {paths.run}: {error.strerror}")
        return BAD_RUN_DIRECTORY
    return OK
