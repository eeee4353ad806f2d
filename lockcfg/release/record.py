"""The audit record: who has freed the locks of which host, when, by which proof, and with which
outcome. lockcfg writes a line of JSON before it does anything, and another line afterwards. If it
cannot write the first line, it does nothing."""

from __future__ import annotations

import json
import os
import stat
import time

from lockcfg.errors import WriteError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

#: The path of the record.
PATH: Final = "/var/log/lockcfg-release.jsonl"


class AuditRecord:
    """The record at a path. All of its lines share the members ``common``."""

    def __init__(self, path: str, **common: Any) -> None:
        self.path: Final = path
        self._common: Final = {
            **common,
            "on": os.uname().nodename,
            "uid": os.getuid(),
            # The user who became root, by the environment; the kernel's own answer stands beside
            # it.
            "sudo_user": os.environ.get("SUDO_USER", ""),
            "login_uid": _login_uid(),
        }

    def write(self, what: str, **fields: Any) -> None:
        """Append a line, and make sure that it is on the disk. Raises :class:`WriteError`."""
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = json.dumps({"time": when, "what": what, **self._common, **fields}) + "\n"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            fd = os.open(self.path, flags | os.O_CLOEXEC, 0o600)
            try:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise WriteError(self.path, "is not a file")
                os.write(fd, line.encode("ascii"))
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise WriteError(
                self.path, f"cannot write the audit record: {error.strerror}"
            ) from error


def _login_uid() -> int:
    """The id of the user who logged in; -1 if there is none."""
    try:
        with open("/proc/self/loginuid", encoding="ascii") as file:
            number = int(file.read())
    except (OSError, ValueError):
        return -1
    return -1 if number == 0xFFFFFFFF else number
