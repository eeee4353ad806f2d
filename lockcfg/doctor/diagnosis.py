"""The verdict on each disk of each running guest, and what else is wrong. Pure: evidence in,
sentences out.

Unknown is not safe: it counts as a problem, and says what would settle it.
"""

from __future__ import annotations

from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final, Literal

    from lockcfg.doctor.evidence import Evidence, File, Holding
    from lockcfg.running.guests import RunningGuest
    from lockcfg.running.meant import Meant, MeantLock

    #: locked: the guest holds the lock that it needs. paused: the guest is paused and rightly holds
    #: none. none: no lock is needed (read-only, network). unprotected: the host locks nothing.
    #: missing: the lock is not held. other: another owner has it. otherwise: the guest holds it in
    #: another mode than it should. danger: it is held but not safe. unknown: it cannot be seen.
    Verdict = Literal[
        "locked",
        "paused",
        "none",
        "unprotected",
        "missing",
        "other",
        "otherwise",
        "danger",
        "unknown",
    ]
    Severity = Literal["error", "warning", "info"]

#: The verdicts that are fine.
FINE: Final = ("locked", "paused", "none")

#: The verdicts that leave the answer unknown.
UNSURE: Final = ("unknown",)


class DiskDiagnosis(Frozen):
    """A disk or lease of a guest: the lock that it needs (None: none), its holder in words,
    ``since`` when (seconds since the epoch, 0 if unknown), the verdict and why, and what to do.
    ``refused_by`` are the layers that would refuse a second guest on this host."""

    __slots__ = (
        "disk",
        "guest",
        "held_by",
        "help",
        "lock",
        "refused_by",
        "since",
        "verdict",
        "why",
    )

    def __init__(
        self,
        guest: RunningGuest,
        disk: str,
        lock: MeantLock | None,
        verdict: Verdict,
        why: str,
        *,
        held_by: str = "",
        since: float = 0,
        help: str = "",
        refused_by: Sequence[str] = (),
    ) -> None:
        self.guest: Final = guest
        self.disk: Final = disk
        self.lock: Final = lock
        self.verdict: Final[Verdict] = verdict
        self.why: Final = why
        self.held_by: Final = held_by
        self.since: Final = since
        self.help: Final = help
        self.refused_by: Final = tuple(refused_by)

    @property
    def is_fine(self) -> bool:
        """Whether no action is needed."""
        return self.verdict in FINE


class HostProblem(Frozen):
    """Something else that is wrong with the host: its ``code``, how bad it is, and what to do."""

    __slots__ = ("code", "help", "message", "severity")

    def __init__(self, code: str, severity: Severity, message: str, help: str = "") -> None:
        self.code: Final = code
        self.severity: Final[Severity] = severity
        self.message: Final = message
        self.help: Final = help


class Diagnosis:
    """The diagnosis of the host. ``daemon`` holds the locks: ``lockd``, ``virtlockd`` or empty."""

    def __init__(
        self,
        manager: str,
        daemon: str,
        disks: Sequence[DiskDiagnosis],
        problems: Sequence[HostProblem],
        guests: int,
    ) -> None:
        self.manager: Final = manager
        self.daemon: Final = daemon
        self.disks: Final = disks
        self.problems: Final = problems
        self.guests: Final = guests

    @property
    def worst(self) -> Literal["ok", "warning", "critical", "unknown"]:
        """The worst result: critical comes before unknown, and unknown before a warning."""
        severities = {problem.severity for problem in self.problems}
        bad = [disk for disk in self.disks if not disk.is_fine]
        if "error" in severities or any(disk.verdict not in UNSURE for disk in bad):
            return "critical"
        if bad:
            return "unknown"
        return "warning" if "warning" in severities else "ok"

    def count(self, verdict: Verdict) -> int:
        """How many disks have a verdict."""
        return sum(disk.verdict == verdict for disk in self.disks)


def diagnose_disk(
    guest: RunningGuest,
    meant: Meant,
    evidence: Evidence,
    *,
    manager: str,
    file_at: Callable[[str], File | None],
    image_locks: set[File],
) -> DiskDiagnosis:
    """The verdict on one disk or lease."""
    lock = meant.lock
    own = _own_layer(meant.what, file_at, image_locks)
    if manager == "sanlock":
        why = "sanlock is the lock manager, and lockcfg does not check its leases"
        return _row(guest, meant, "unknown", why, help="ask 'sanlock client status'", layers=own)
    if lock is None:
        if meant.unknown:
            return _row(guest, meant, "unknown", meant.why, help="run it as root", layers=own)
        if manager != "lockd":
            advice = "'lockcfg enable', restart libvirtd or virtqemud, then 'lockd adopt --all'"
            return _row(guest, meant, "unprotected", meant.why, help=advice, layers=own)
        return _row(guest, meant, "none", meant.why, layers=own)
    if guest.is_paused:
        why = "libvirt holds no lock for a paused guest, and takes it when the guest resumes"
        return _row(guest, meant, "paused", why, layers=own)
    if evidence.answers is not None:
        return _by_lockd(guest, meant, lock, evidence, own)
    return _by_kernel(guest, meant, lock, evidence, file_at(lock.path), own)


def _by_lockd(
    guest: RunningGuest, meant: Meant, lock: MeantLock, evidence: Evidence, own: Sequence[str]
) -> DiskDiagnosis:
    holdings = evidence.held.by_name.get((lock.space, lock.name), [])
    mine = [each for each in holdings if each.pid == guest.pid]
    layers = ("lockd", *own)
    if mine:
        one = mine[0]
        told = _told(one)
        if one.problem:
            advice = "stop the guest if another host may have its disk; 'lockd status' tells more"
            return _row(guest, meant, "danger", one.problem, one, told, advice, own)
        if one.shared != lock.shared:
            why = f"it is held {_mode(one.shared)}, and {_mode(lock.shared)} is meant"
            advice = f"'virsh suspend {guest.name}', then 'virsh resume {guest.name}'"
            return _row(guest, meant, "otherwise", why, one, told, advice, layers)
        return _row(guest, meant, "locked", "it is held for this guest", one, told, "", layers)
    if holdings and not (lock.shared and all(each.shared for each in holdings)):
        one = holdings[0]
        why = f"guest '{one.guest}' (pid {one.pid}) has it: two guests may be writing one disk"
        advice = "stop one of the two guests now, and check the file system in the disk"
        return _row(guest, meant, "other", why, one, _told(one), advice, layers)
    advice = f"'lockd adopt {guest.name}'"
    return _row(guest, meant, "missing", "no process holds it", help=advice, layers=own)


def _by_kernel(
    guest: RunningGuest,
    meant: Meant,
    lock: MeantLock,
    evidence: Evidence,
    file: File | None,
    own: Sequence[str],
) -> DiskDiagnosis:
    if evidence.held.blind:
        why = f"{evidence.held.blind}"
        return _row(guest, meant, "unknown", why, help="run it as root", layers=own)
    # Some file systems have another number for the kernel's locks than for stat(2).
    held = evidence.held.by_path.get(lock.path)
    if held is None and file is not None:
        held = evidence.held.by_file.get(file)
    if held is not None:
        layers = ("virtlockd", *own)
        why = "virtlockd holds it, and does not say for which guest"
        if held.shared != lock.shared:
            why = f"virtlockd holds it {_mode(held.shared)}, and {_mode(lock.shared)} is meant"
            return _row(guest, meant, "otherwise", why, held, "virtlockd", "", layers)
        return _row(guest, meant, "locked", why, held, "virtlockd", "", layers)
    if not evidence.in_charge:
        why = "no lock daemon runs: no process holds it"
        advice = "start virtlockd.socket, then suspend and resume the guest, or 'lockd adopt --all'"
        return _row(guest, meant, "missing", why, help=advice, layers=own)
    advice = (
        f"'virsh suspend {guest.name}', then 'virsh resume {guest.name}'; or 'lockd takeover' and"
        f" 'lockd adopt {guest.name}'"
    )
    return _row(guest, meant, "missing", "no process holds it", help=advice, layers=own)


def _row(
    guest: RunningGuest,
    meant: Meant,
    verdict: Verdict,
    why: str,
    holding: Holding | None = None,
    held_by: str = "",
    help: str = "",
    layers: Sequence[str] = (),
) -> DiskDiagnosis:
    return DiskDiagnosis(
        guest,
        meant.what,
        meant.lock,
        verdict,
        why,
        held_by=held_by,
        since=holding.since if holding is not None else 0,
        help=help,
        refused_by=layers,
    )


def _own_layer(
    path: str, file_at: Callable[[str], File | None], image_locks: set[File]
) -> tuple[str, ...]:
    file = file_at(path) if path.startswith("/") else None
    return ("qemu",) if file is not None and file in image_locks else ()


def _told(holding: Holding) -> str:
    return f"{holding.guest} (pid {holding.pid})"


def _mode(shared: bool) -> str:
    return "shared" if shared else "exclusive"
