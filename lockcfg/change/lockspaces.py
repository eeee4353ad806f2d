"""The lockspace directories of a host: do they exist, are they shared, can files be locked
there."""

from __future__ import annotations

import os

from lockcfg.errors import WriteError
from lockcfg.filelock import try_lock
from lockcfg.findings import Finding
from lockcfg.host.storage import storage_of
from lockcfg.rooted import make_directories

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from lockcfg.change.transaction import Transaction
    from lockcfg.host.host import Host


def storage_warnings(
    transaction: Transaction, keys: Iterable[str], *, try_locks: bool
) -> list[Finding]:
    """What is wrong with the directories that ``keys`` name after ``transaction``.

    With ``try_locks`` a scratch file is locked in each, and removed again. Directories with the
    same trouble share one warning.
    """
    after = transaction.configuration()
    path = after.documents["lockd"].path
    troubles: dict[tuple[str, str, str], list[str]] = {}

    def note(rule: str, directory: str, what: str, advice: str) -> None:
        troubles.setdefault((rule, what, advice), []).append(directory)

    for key in keys:
        directory = after.lockspace(key)
        if directory is None or not os.path.isabs(directory):
            continue
        here = transaction.host.real(directory)
        storage = storage_of(here)
        if not storage.exists:
            note("lockspace-missing", directory, "not there yet", _MISSING)
        elif try_locks and (reason := try_lock(here)) is not None:
            note("lockspace-not-lockable", directory, reason, _NOT_LOCKABLE)
        if storage.shared == "no":
            what = f"on {storage.reason}: guests on other hosts are not kept out"
            note("lockspace-local", directory, what, _LOCAL)
        elif storage.shared == "unknown":
            note("lockspace-unknown", directory, f"on {storage.reason}", "")
    return [
        Finding(
            rule,
            "warning",
            f"{', '.join(directories)}: {what}",
            path=path,
            key=None,
            help=advice,
        )
        for (rule, what, advice), directories in troubles.items()
    ]


_MISSING: Final = (
    "mount the shared file system there, or have 'lockcfg enable --create' make the directory"
)
_NOT_LOCKABLE: Final = "the lock daemon must be able to create and lock files there"
_LOCAL: Final = "use a file system that all hosts mount (NFSv4, GlusterFS, CephFS)"


def create(host: Host, directory: str) -> bool:
    """Make a lockspace directory, as the lock daemon would (mode 0700), and those above it.

    Returns whether it was missing. Raises :class:`WriteError`.
    """
    try:
        return make_directories(host.root, directory, 0o700)
    except OSError as error:
        here = host.inside(directory)
        raise WriteError(here, f"cannot be made: {error.strerror}") from error
