"""What can go wrong, as exceptions.

    LockcfgError                 exit 3: it could not be done
    ├── UsageError               exit 2: the request is invalid
    │   └── UnknownKeyError      no file has such a setting
    ├── ReadError                a file cannot be read, or is not what it should be
    ├── ConfSyntaxError          libvirt would not parse the text; carries the place
    ├── WriteError               a file could not be written
    │   ├── BusyError            another lockcfg is writing there
    │   └── ChangedError         the file changed after it was read
    └── RefusedError             exit 1: the edit would do harm; carries the findings

Every message is one sentence a person can act on. Nothing here formats a source line: that is
the work of :mod:`lockcfg.report.terminal`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from lockcfg.findings import Finding, Place


class LockcfgError(Exception):
    """Base of all errors raised on purpose. ``help`` tells what to do, or is empty."""

    exit_code = 3

    def __init__(self, message: str, *, help: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.help = help


class UsageError(LockcfgError):
    """The request itself is wrong: nothing was read or written for it."""

    exit_code = 2


class UnknownKeyError(UsageError):
    """No configuration file of the driver has the setting ``key``."""

    def __init__(self, key: str, *, help: str = "") -> None:
        super().__init__(f"unknown setting '{key}'", help=help)
        self.key = key


class ReadError(LockcfgError):
    """``path`` cannot be read: missing, not a regular file, too large, no permission."""

    def __init__(self, path: str, reason: str, *, help: str = "") -> None:
        super().__init__(f"{path}: {reason}", help=help)
        self.path = path
        self.reason = reason


class ConfSyntaxError(LockcfgError):
    """The text is not what libvirt's parser accepts; ``place`` is where, ``reason`` is why."""

    def __init__(self, reason: str, place: Place, *, help: str = "") -> None:
        super().__init__(f"{place.path}:{place.line}:{place.column}: {reason}", help=help)
        self.reason = reason
        self.place = place


class WriteError(LockcfgError):
    """``path`` could not be written; what was there before is still there, whole.

    But where the reason is that a directory could not be synced or the file not be read back:
    then the new file is in place, whole, and may not survive a crash.
    """

    def __init__(self, path: str, reason: str, *, help: str = "") -> None:
        super().__init__(f"{path}: {reason}", help=help)
        self.path = path
        self.reason = reason


class BusyError(WriteError):
    """Another writer holds the directory's lock."""


class ChangedError(WriteError):
    """The file is not the one that was read: another program wrote it in the meantime."""


class RefusedError(LockcfgError):
    """The result of an edit would stop a daemon or protect nothing: nothing was written."""

    exit_code = 1

    def __init__(self, message: str, findings: Sequence[Finding], *, help: str = "") -> None:
        super().__init__(message, help=help)
        self.findings = tuple(findings)
