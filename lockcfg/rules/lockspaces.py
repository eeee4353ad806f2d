"""What several rules ask about lockspace directories."""

from __future__ import annotations

import os
from functools import lru_cache

from lockcfg.frozen import Frozen
from lockcfg.rules.rule import at_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Literal

    from lockcfg.conf.document import Document, Entry
    from lockcfg.findings import Finding, Severity
    from lockcfg.host.host import Configuration
    from lockcfg.rules.rule import Rule


class LockspaceSetting(Frozen):
    """A setting that names a lockspace directory in use: its ``key``, its ``entry`` in a
    ``document``, and the ``directory``."""

    __slots__ = ("directory", "document", "entry", "key")

    def __init__(self, document: Document, entry: Entry, directory: str) -> None:
        self.document: Final = document
        self.entry: Final = entry
        self.key: Final = entry.key
        self.directory: Final = directory

    def finding(
        self, rule: Rule, message: str, *, help: str, severity: Severity | None = None
    ) -> Finding:
        """A finding about the directory."""
        return at_value(rule, self.document, self.entry, message, help=help, severity=severity)


def lockspaces_in_use(configuration: Configuration) -> list[LockspaceSetting]:
    """The settings of a host that name a lockspace directory in use."""
    document = configuration.documents["lockd"]
    found: list[LockspaceSetting] = []
    for key, directory in configuration.lockspaces.items():
        entry = document.get(key)
        assert entry is not None
        found.append(LockspaceSetting(document, entry, directory))
    return found


def lock_directories_in_use(configuration: Configuration) -> list[LockspaceSetting]:
    """The same settings, and for a host with sanlock the setting that names the directory of its
    leases."""
    found = lockspaces_in_use(configuration)
    document = configuration.documents.get("sanlock")
    entry = document.get("disk_lease_dir") if document else None
    if configuration.lock_manager != "sanlock" or document is None or entry is None:
        return found
    of_sanlock = configuration.of_sanlock
    if of_sanlock("auto_disk_leases").value == 1 and of_sanlock(entry.key).place is not None:
        found.append(LockspaceSetting(document, entry, str(entry.value)))
    return found


# All hosts of a fleet together have few lockspaces.
@lru_cache(maxsize=1024)
def relation(directory: str, other: str) -> Literal["same", "inside", "around"] | None:
    """The relation of one absolute path to another; None if neither contains the other."""
    paths = os.path.normpath(directory), os.path.normpath(other)
    one, two = (os.path.commonpath((path,)) for path in paths)
    if one == two:
        return "same"
    common = os.path.commonpath(paths)
    if common == two:
        return "inside"
    return "around" if common == one else None
