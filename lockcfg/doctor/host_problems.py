"""What else is wrong with this host: its daemons, their files, the lockspaces, limits, clock and
denials."""

from __future__ import annotations

import ctypes
import os
import re
import time

from lockcfg.conf.files import KINDS
from lockcfg.counted import counted
from lockcfg.doctor.diagnosis import HostProblem
from lockcfg.host.host import Host
from lockcfg.host.lacking import lacking
from lockcfg.host.parts import missing_parts
from lockcfg.rules import check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, Final

    from lockcfg.doctor.evidence import Evidence
    from lockcfg.host.host import Configuration

#: The part of its descriptors from which a daemon is short of them.
_SHORT: Final = 0.8

#: The logs with denials, how much of the end of each is read, in bytes, and the pattern of a
#: denial.
_LOGS: Final = ("/var/log/audit/audit.log", "/var/log/kern.log", "/var/log/syslog")
_TAIL: Final = 256 * 1024
_DENIAL: Final = re.compile(
    rb'^.*(?:apparmor="DENIED"|avc: +denied).*(?:virtlockd|lockd|libvirt|qemu).*$', re.M
)

#: The files that lockd reads when it starts.
_OF_LOCKD: Final = ("virtlockd.conf", "lockd.conf")

#: adjtimex(2)'s answer for a clock that is not synchronised.
_UNSYNCHRONIZED: Final = 5

_PLACE_OF_LOCKD: Final = "/usr/local/sbin/lockd"


def problems_of(
    configuration: Configuration,
    evidence: Evidence,
    daemons: Sequence[Mapping[str, Any]],
    changed: Mapping[str, int],
    directories: Sequence[Mapping[str, Any]],
    *,
    guests: int,
) -> Iterator[HostProblem]:
    """All problems, the worst kind first. ``daemons``, ``changed`` and ``directories`` are from the
    collector: the running daemons, when each file was changed, and the outcome of a scratch lock in
    each lockspace."""
    yield from _of_daemons(configuration, evidence, guests)
    yield from _of_lockspaces(configuration, directories)
    yield from _of_files(daemons, changed)
    yield from _of_files_of_lockd(evidence, changed)
    yield from _of_next_start(configuration)
    yield from _of_limits(evidence)
    if evidence.answers is not None:
        yield from _of_lockd(evidence.answers.status)
    yield from denials(_LOGS)
    yield from _of_clock()


def _of_daemons(
    configuration: Configuration, evidence: Evidence, guests: int
) -> Iterator[HostProblem]:
    if configuration.lock_manager == "nop":
        if guests:
            yield HostProblem(
                "unprotected",
                "error",
                "no lock manager is in use: two guests can write one disk",
                "'lockcfg enable', restart libvirtd or virtqemud, then 'lockd adopt --all'",
            )
        return
    if configuration.lock_manager != "lockd":
        return
    if not evidence.in_charge and evidence.daemons:
        names = " and ".join(dict.fromkeys(each.name for each in evidence.daemons))
        yield HostProblem(
            "socket-silent",
            "error" if guests else "warning",
            f"{names} runs, but its admin socket does not answer, so its locks are unknown:"
            f" {evidence.unreachable}",
            "start virtlockd-admin.socket",
        )
    elif not evidence.in_charge:
        severity = "error" if guests else "warning"
        yield HostProblem(
            "no-lock-daemon",
            "error" if severity == "error" else "warning",
            f"no lock daemon runs, and none answers: {evidence.unreachable or 'no socket'}",
            "start virtlockd.socket and virtlockd-admin.socket",
        )
    elif evidence.unreachable:
        yield HostProblem(
            "socket-silent",
            "warning",
            f"the lock daemon runs, but its admin socket does not answer: {evidence.unreachable}",
            "start virtlockd-admin.socket",
        )
    if evidence.in_charge == "virtlockd" and os.path.exists(_PLACE_OF_LOCKD):
        yield HostProblem(
            "other-daemon",
            "warning",
            "lockd is installed in virtlockd's place, but a virtlockd holds the locks",
            "'lockd takeover'",
        )
    if len(evidence.daemons) > 1 and any(each.name == "virtlockd" for each in evidence.daemons):
        names = ", ".join(f"{each.name} (pid {each.pid})" for each in evidence.daemons)
        yield HostProblem(
            "several-daemons", "warning", f"several lock daemons run: {names}", "end all but one"
        )


def _of_lockspaces(
    configuration: Configuration, directories: Sequence[Mapping[str, Any]]
) -> Iterator[HostProblem]:
    told = {each["path"]: each for each in directories}
    for setting, path in configuration.lockspaces.items():
        each = told.get(path)
        if each is None:
            yield HostProblem("lockspace", "warning", f"{path}: it was not checked", "")
        elif each.get("missing"):
            yield HostProblem(
                "lockspace-missing",
                "error",
                f"{path}: the lockspace does not exist ({setting})",
                "mount it; libvirtd or virtqemud makes the directory at its start",
            )
        elif each.get("error"):
            advice = (
                "mount it, or check its server" if each["error"] == "no answer" else "repair it"
            )
            yield HostProblem("lockspace-error", "error", f"{path}: {each['error']}", advice)
        elif each.get("probe", {}).get("outcome") == "fails":
            probe = each["probe"]
            yield HostProblem(
                "lockspace-unlockable",
                "error",
                f"{path}: no lock can be taken there: {probe['step']}: {probe['error']}",
                "mount it with locks, writable for root",
            )
        elif each.get("probe", {}).get("outcome") == "grants":
            yield HostProblem(
                "lockspace-grants",
                "error",
                f"{path}: a lock there does not exclude other processes",
                "use a file system that locks",
            )


def _of_files(
    daemons: Sequence[Mapping[str, Any]], changed: Mapping[str, int]
) -> Iterator[HostProblem]:
    for kind in KINDS.values():
        for daemon in daemons:
            if daemon["name"] in kind.readers and changed.get(kind.name, 0) > daemon["started"]:
                yield HostProblem(
                    "file-newer",
                    "warning",
                    f"{kind.name} was changed after {daemon['name']} (pid {daemon['pid']}) had"
                    " started: its settings are not in force",
                    (
                        "systemctl reload virtlockd; never restart it"
                        if kind.role == "daemon"
                        else f"restart {daemon['name']}; guests keep running"
                    ),
                )


def _of_files_of_lockd(evidence: Evidence, changed: Mapping[str, int]) -> Iterator[HostProblem]:
    """lockd is the same process before and after a reload, and tells itself since when it runs."""
    if evidence.answers is None:
        return
    since = evidence.answers.status["since"]
    for name in _OF_LOCKD:
        if changed.get(name, 0) > since:
            yield HostProblem(
                "file-newer",
                "warning",
                f"{name} was changed after lockd had started: its settings are not in force",
                "systemctl reload virtlockd; the guests notice nothing",
            )


def _of_next_start(configuration: Configuration) -> Iterator[HostProblem]:
    """Errors in libvirt's files, and what their settings need but libvirt would not find at its
    next start."""
    for each in configuration.documents.values():
        for finding in check(each):
            if finding.severity == "error":
                message = f"{finding.place or finding.path}: {finding.message}"
                yield HostProblem("bad-setting", "error", message, finding.help)
    document = configuration.documents["driver"]
    if document.path.startswith("/etc/libvirt/"):
        missing = missing_parts(Host(driver=configuration.driver), document)
        for finding in [*missing, *lacking(document)]:
            message = f"{finding.place or finding.path}: {finding.message}"
            yield HostProblem("lacking", "error", message, finding.help)


def _of_limits(evidence: Evidence) -> Iterator[HostProblem]:
    for daemon in evidence.daemons:
        if daemon.limit and daemon.descriptors > _SHORT * daemon.limit:
            yield HostProblem(
                "descriptors",
                "warning",
                f"{daemon.name} (pid {daemon.pid}) has {daemon.descriptors} of {daemon.limit}"
                " descriptors: the next guests may not start",
                "raise LimitNOFILE of virtlockd.service; prlimit --nofile raises it at once",
            )


def _of_lockd(status: Mapping[str, Any]) -> Iterator[HostProblem]:
    for problem in status["problems"]:
        yield HostProblem(
            "lock-danger", "error", f"{problem['path']}: {problem['problem']}", "see 'lockd status'"
        )
    if status["keeper"] != "ok":
        yield HostProblem(
            "locks-not-kept",
            "warning",
            "the locks would not outlive a crash of lockd"
            + (f": {status['keeper']}" if status["keeper"] != "none" else ""),
            "start it as a service",
        )
    for name, clients in status["clients"].items():
        if clients["connected"] > _SHORT * clients["max"]:
            yield HostProblem(
                "clients",
                "warning",
                f"{clients['connected']} of {clients['max']} clients of {name} are connected: the"
                " next guests may not start",
                "'lockcfg set max_clients N'",
            )


def denials(logs: Sequence[str]) -> Iterator[HostProblem]:
    """What SELinux or AppArmor have denied a lock daemon, libvirt or QEMU, by the ends of logs."""
    for path in logs:
        try:
            with open(path, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
                found = _DENIAL.findall(file.read(_TAIL))
        except OSError:
            continue
        if found:
            last = found[-1].decode("utf-8", "replace").strip()[:300]
            yield HostProblem(
                "denied",
                "warning",
                f"{path}: {counted(len(found), 'denial')} of SELinux or AppArmor, the last: {last}",
                "label the lockspace, or allow it in the policy",
            )


def _of_clock() -> Iterator[HostProblem]:
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
    except (OSError, AttributeError):
        return
    if state == _UNSYNCHRONIZED:
        yield HostProblem(
            "clock",
            "info",
            f"nothing synchronizes the clock, which says {time.strftime('%Y-%m-%d %H:%M:%S')}: the"
            " times that are told may be wrong",
            "run chrony or systemd-timesyncd",
        )
