"""The verdict on the files of a host as they are, or would be: all of them together.

Every command takes its verdict from here, before and after it writes. A file that cannot be read
makes the verdict unknown; a file that stops libvirt, or a part of libvirt that is not installed,
makes it refused.
"""

from __future__ import annotations

import re

from lockcfg.conf.document import Document
from lockcfg.conf.files import kinds_of
from lockcfg.errors import ConfSyntaxError, LockcfgError, ReadError
from lockcfg.host.host import Configuration
from lockcfg.host.installed import libvirt_release
from lockcfg.host.lacking import lacking
from lockcfg.host.parts import missing_parts
from lockcfg.host.protection import Protection, protection_of, refused
from lockcfg.host.storage import storage_of
from lockcfg.rules import STOPPING, check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from lockcfg.conf.files import Driver, Role
    from lockcfg.findings import Finding
    from lockcfg.host.host import Host
    from lockcfg.host.storage import Storage


def storages_of(host: Host, configuration: Configuration) -> dict[str, Storage]:
    """The file systems of the lockspace directories in use, by directory as the host sees it; empty
    for a host that is elsewhere."""
    if host.elsewhere:
        return {}
    directories = list(configuration.lockspaces.values())
    if configuration.lock_manager == "sanlock":
        directories.append(str(configuration.of_sanlock("disk_lease_dir").value))
    return {directory: storage_of(host.real(directory)) for directory in directories}


def verdict_on(host: Host, files: Mapping[Role, Document | LockcfgError]) -> Protection:
    """What is protected on ``host`` with ``files``, and against whom.

    A file that could not be read is replaced by its error.
    """
    configuration = _configuration(host.driver, files)
    release = libvirt_release(host.root)
    trouble = _trouble(configuration, files, release)
    if trouble is not None:
        return trouble
    driver = configuration.documents["driver"]
    missing = missing_parts(host, driver)
    if host.is_this_one:
        missing += lacking(driver)
    if missing:
        reason = _reason(missing[0])
        if configuration.lock_manager == "sanlock" and missing[0].rule == "daemon-missing":
            return Protection("refused", f"No guest starts: {reason}.")
        return refused(reason)
    watchdog = None
    if configuration.lock_manager == "sanlock" and not host.session:
        from lockcfg.host.watchdog import watchdog_of

        watchdog = watchdog_of(host)
    return protection_of(configuration, storages_of(host, configuration), watchdog, release)


def verdict_of_files(driver: Driver, files: Mapping[Role, Document | LockcfgError]) -> Protection:
    """The same from ``files`` alone, for a host that is elsewhere: the file systems of its
    lockspaces are unknown."""
    configuration = _configuration(driver, files)
    return _trouble(configuration, files) or protection_of(configuration, {})


def _configuration(driver: Driver, files: Mapping[Role, Document | LockcfgError]) -> Configuration:
    """What is known of the configuration: a file that could not be read is an empty one."""
    return Configuration(
        driver,
        {
            kind.role: file
            if isinstance(file := files[kind.role], Document)
            else Document(kind, kind.name, None, ())
            for kind in kinds_of(driver)
        },
    )


def _trouble(
    configuration: Configuration,
    files: Mapping[Role, Document | LockcfgError],
    release: tuple[int, ...] | None = None,
) -> Protection | None:
    """The verdict if libvirt does not start with ``files``, or if that is unknown."""
    in_use: tuple[Role, ...] = ("driver",)
    if isinstance(files["driver"], Document):
        if configuration.lock_manager == "lockd":
            in_use = ("driver", "lockd", "daemon")
        elif configuration.lock_manager == "sanlock":
            in_use = ("driver", "sanlock")
    unread: list[ReadError] = []
    for role in in_use:
        file = files[role]
        if isinstance(file, ReadError):
            unread.append(file)
        elif isinstance(file, ConfSyntaxError):
            return refused(f"{file.place}: {file.reason}")
        elif isinstance(file, LockcfgError):
            raise file
        elif errors := start_errors(file, release):
            return refused(f"{errors[0].place or errors[0].path}: {_reason(errors[0])}")
    if unread:
        why = " and ".join(f"{error.path} cannot be read ({error.reason})" for error in unread)
        return Protection("unknown", f"Whether disks are locked is unknown: {why}.")
    return None


def start_errors(document: Document, release: tuple[int, ...] | None = None) -> list[Finding]:
    """The findings that prevent the daemon that reads ``document`` from starting, for a libvirt
    ``release``. Of duplicates libvirt reads only the first."""
    first = {entry.key: entry for entry in reversed(document.entries)}
    if len(first) < len(document.entries):
        in_force = sorted(first.values(), key=lambda entry: entry.key_span.start)
        document = Document(document.kind, document.path, document.text, in_force)
    return [
        finding for finding in check(document, release, STOPPING) if finding.severity == "error"
    ]


def _reason(finding: Finding) -> str:
    """What is wrong, without its consequences."""
    return _OUTCOME.sub("", finding.message)


#: What the messages of rules end with.
_OUTCOME: Final = re.compile(r": (?:libvirt|virtlockd|with lock_manager)[^:]*\Z")
