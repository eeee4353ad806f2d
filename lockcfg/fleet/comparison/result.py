"""The result of an audit, as the reporters get it: finished and sorted, with no I/O left."""

from __future__ import annotations

from collections import Counter

from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Final, Literal

    from lockcfg.findings import Severity
    from lockcfg.fleet.store.history import Point
    from lockcfg.host.storage import Shared
    from lockcfg.rules.rule import RuleInfo

    #: unsafe: some hosts would let two guests write one disk. unknown: no such hosts were found,
    #: but not everything could be examined. safe: neither.
    Level = Literal["unsafe", "unknown", "safe"]


class Verdict(Frozen):
    """The verdict on the fleet, and a sentence that says it."""

    __slots__ = ("level", "text")

    def __init__(self, level: Level, text: str) -> None:
        self.level: Final = level
        self.text: Final = text


class GroupRow(Frozen):
    """A group of hosts that share storage. ``inferred`` tells that the audit has seen them share
    it, and no policy says so. ``storages`` are what they share, in words. The group without a name
    has the hosts that were not seen to share any."""

    __slots__ = ("hosts", "inferred", "name", "storages", "worst")

    def __init__(
        self,
        name: str,
        hosts: Sequence[str],
        storages: Sequence[str],
        *,
        inferred: bool,
        worst: Severity | None = None,
    ) -> None:
        self.name: Final = name
        self.hosts: Final = tuple(hosts)
        self.storages: Final = tuple(storages)
        self.inferred: Final = inferred
        self.worst: Final = worst


class DomainRow(Frozen):
    """A lock domain of a group: ``hosts`` lock disks of a ``kind`` in the same way. ``reach`` is
    yes if they exclude each other, no if each is alone, unknown if neither is known. ``apart``
    tells that they exclude each other, but not the hosts of the group's largest domain, or of
    another domain of that size."""

    __slots__ = ("apart", "group", "hosts", "key", "kind", "mode", "reach", "where")

    def __init__(
        self,
        group: str,
        kind: str,
        mode: str,
        key: str,
        reach: Shared,
        where: str,
        hosts: Sequence[str],
        *,
        apart: bool = False,
    ) -> None:
        self.group: Final = group
        self.apart: Final = apart
        self.kind: Final = kind
        self.mode: Final = mode
        self.key: Final = key
        self.reach: Final = reach
        self.where: Final = where
        self.hosts: Final = tuple(hosts)


class DiskUse(Frozen):
    """One guest's use of a disk: its host, the path, and whether the guest runs."""

    __slots__ = ("guest", "host", "path", "running")

    def __init__(self, host: str, guest: str, path: str, *, running: bool) -> None:
        self.host: Final = host
        self.guest: Final = guest
        self.path: Final = path
        self.running: Final = running


class DiskRow(Frozen):
    """A real disk that several hosts or guests have.

    ``name`` is its name, the same on all hosts. ``safe`` says whether any two of its users exclude
    each other. If they do not, ``pair`` are two hosts that show it (possibly the same host),
    ``reasons`` is the chain of reasons, and ``cause`` is one word: ``unlocked`` (one of them locks
    nothing), ``paths`` (the path names the lock, and they have two paths), ``rules`` (they lock by
    different rules), ``places`` (they lock in different places), ``held`` (they mean the same lock,
    and it is not held or not in force). ``pairs`` are all pairs of its hosts that do not exclude
    each other: no or unknown, and two lists of hosts, see
    :func:`~lockcfg.fleet.comparison.pairs.folded_pairs`. ``written`` says whether two of its users
    were running when the snapshots were taken, and not all of them share it on purpose. ``users``
    are at most 20 of its users, ``hosts`` are all of its hosts.
    """

    __slots__ = (
        "apart",
        "cause",
        "hosts",
        "kind",
        "name",
        "pair",
        "pairs",
        "reasons",
        "safe",
        "users",
        "written",
    )

    def __init__(
        self,
        name: str,
        kind: str,
        safe: Shared,
        hosts: Sequence[str],
        users: Sequence[DiskUse],
        *,
        pair: Sequence[str] = (),
        apart: Sequence[str] = (),
        pairs: Sequence[tuple[str, Sequence[str], Sequence[str]]] = (),
        reasons: Sequence[str] = (),
        cause: str = "",
        written: bool = False,
    ) -> None:
        self.cause: Final = cause
        self.name: Final = name
        self.kind: Final = kind
        self.safe: Final = safe
        self.hosts: Final = tuple(hosts)
        self.users: Final = tuple(users)
        self.pair: Final = tuple(pair)
        self.apart: Final = tuple(apart)
        self.pairs: Final = tuple((seen, tuple(a), tuple(b)) for seen, a, b in pairs)
        self.reasons: Final = tuple(reasons)
        self.written: Final = written


class ProbeRow(Frozen):
    """A scratch file of a probe (:mod:`lockcfg.fleet.model.evidence`), which stands for a directory
    that ``hosts`` have at ``paths``. ``seen`` says whether they see each other's locks there.
    ``pairs`` are the hosts of which that is not shown, as two names and ``no`` or ``unknown``.
    ``taken`` is the time of the probe, in seconds since the epoch."""

    __slots__ = ("hosts", "pairs", "paths", "seen", "taken")

    def __init__(
        self,
        paths: Sequence[str],
        taken: int,
        hosts: Sequence[str],
        seen: Shared,
        pairs: Sequence[tuple[str, str, str]],
    ) -> None:
        self.paths: Final = tuple(paths)
        self.taken: Final = taken
        self.hosts: Final = tuple(hosts)
        self.seen: Final = seen
        self.pairs: Final = tuple(pairs)

    def partners(self, seen: str) -> list[tuple[str, list[str]]]:
        """The pairs with that result, each once: the hosts with the most partners first."""
        left = {frozenset(pair[:2]) for pair in self.pairs if pair[2] == seen}
        found: list[tuple[str, list[str]]] = []
        while left:
            counts = Counter(host for pair in left for host in pair)
            host = min(counts, key=lambda name: (-counts[name], name))
            mine = {pair for pair in left if host in pair}
            found.append((host, sorted(next(iter(pair - {host})) for pair in mine)))
            left -= mine
        return found


class ProfileRow(Frozen):
    """Hosts of one group that are alike in everything that decides the locking: a row of the matrix
    of hosts and settings.

    ``settings`` maps a column to what it shows. ``odd`` are the columns in which these hosts differ
    from most of their group, which is a hint and not a verdict. ``known`` says whether their facts
    are complete and recent enough to judge them. ``mounts`` says in words what their directories of
    locks and disks are on, ``held`` what is known of the locks of their running guests' disks.
    """

    __slots__ = ("group", "held", "hosts", "known", "mounts", "odd", "settings", "worst")

    def __init__(
        self,
        group: str,
        settings: Mapping[str, str],
        hosts: Sequence[str],
        *,
        odd: Sequence[str] = (),
        known: bool = True,
        worst: Severity | None = None,
        mounts: Sequence[str] = (),
        held: Sequence[str] = (),
    ) -> None:
        self.mounts: Final = tuple(mounts)
        self.held: Final = tuple(held)
        self.group: Final = group
        self.settings: Final = dict(settings)
        self.hosts: Final = tuple(hosts)
        self.odd: Final = tuple(odd)
        self.known: Final = known
        self.worst: Final = worst


class Waived(Frozen):
    """A waiver of the policy, because of which a finding does not count: its ``reason``, and the
    date ``until`` which it holds (ISO 8601, or empty)."""

    __slots__ = ("reason", "until")

    def __init__(self, reason: str, until: str) -> None:
        self.reason: Final = reason
        self.until: Final = until


class AuditFinding(Frozen):
    """A finding about hosts of a group: the rule's ``code`` and slug, what is wrong, the chain of
    reasons, and what to do. ``places`` maps a host to the file with the cause, and the line; the
    line is 0 if the file does not have the setting."""

    __slots__ = (
        "code",
        "group",
        "help",
        "hosts",
        "message",
        "places",
        "reasons",
        "rule",
        "severity",
        "waived",
    )

    def __init__(
        self,
        code: str,
        rule: str,
        severity: Severity,
        message: str,
        hosts: Sequence[str],
        *,
        group: str = "",
        reasons: Sequence[str] = (),
        help: str = "",
        waived: Waived | None = None,
        places: Mapping[str, tuple[str, int]] | None = None,
    ) -> None:
        self.places: Final = dict(places or {})
        self.code: Final = code
        self.rule: Final = rule
        self.severity: Final = severity
        self.message: Final = message
        self.hosts: Final = tuple(hosts)
        self.group: Final = group
        self.reasons: Final = tuple(reasons)
        self.help: Final = help
        self.waived: Final = waived


class UnreadSource(Frozen):
    """A snapshot that could not be read: its source, its host if that is known, and the reason."""

    __slots__ = ("host", "reason", "source")

    def __init__(self, source: str, host: str, reason: str) -> None:
        self.source: Final = source
        self.host: Final = host
        self.reason: Final = reason


class FindingChange(Frozen):
    """A finding about ``hosts``, in words, that one of two audits has and the other does not."""

    __slots__ = ("hosts", "severity", "text")

    def __init__(self, severity: str, text: str, hosts: Sequence[str]) -> None:
        self.severity: Final = severity
        self.text: Final = text
        self.hosts: Final = tuple(hosts)


class Since(Frozen):
    """What has changed since an earlier audit, which was made at ``then`` (seconds since the epoch)
    and had that verdict: what is ``worse``, what is ``better``, and the hosts that have ``come``
    and ``gone``, about which it says nothing else."""

    __slots__ = ("better", "come", "gone", "level", "text", "then", "worse")

    def __init__(
        self,
        then: int,
        level: str,
        text: str,
        worse: Sequence[FindingChange],
        better: Sequence[FindingChange],
        come: Sequence[str],
        gone: Sequence[str],
    ) -> None:
        self.then: Final = then
        self.level: Final = level
        self.text: Final = text
        self.worse: Final = tuple(worse)
        self.better: Final = tuple(better)
        self.come: Final = tuple(come)
        self.gone: Final = tuple(gone)


class AuditResult(Frozen):
    """A finished audit.

    ``hosts`` are all names, sorted. ``unknown`` are the hosts of which too little is known to call
    them safe: their facts are too old, incomplete, unreadable, or missing. ``findings`` are sorted,
    the worst first, and include the waived ones. ``probe`` is what a probe showed. ``groups``,
    ``domains``, ``disks`` and ``profiles`` are sorted too. Ages count from ``now``. ``policy`` is
    the source of the policy, or empty. ``since`` is what has changed since an earlier audit, None
    without one. ``guests`` are the names of the guests that run on each host, and ``locks`` the
    files on which its lock daemon holds locks and since when. ``uses`` are the disks of each host
    that others might have, too: the guest, the path, and what is held for it, as
    :class:`lockcfg.fleet.model.uses.Use` has it. Only some reporters need these three.
    ``trend`` is what this audit and earlier ones came to, the oldest first, if the fleet store has
    a history.
    """

    __slots__ = (
        "disks",
        "domains",
        "findings",
        "groups",
        "guests",
        "hosts",
        "locks",
        "notes",
        "now",
        "policy",
        "probe",
        "problems",
        "profiles",
        "rules",
        "since",
        "trend",
        "unknown",
        "uses",
        "verdict",
        "version",
    )

    def __init__(self, **fields: Any) -> None:
        self.version: Final[str] = fields["version"]
        self.now: Final[int] = fields["now"]
        self.policy: Final[str] = fields["policy"]
        self.verdict: Final[Verdict] = fields["verdict"]
        self.hosts: Final[tuple[str, ...]] = tuple(fields["hosts"])
        self.unknown: Final[tuple[str, ...]] = tuple(fields["unknown"])
        self.groups: Final[tuple[GroupRow, ...]] = tuple(fields["groups"])
        self.domains: Final[tuple[DomainRow, ...]] = tuple(fields["domains"])
        self.disks: Final[tuple[DiskRow, ...]] = tuple(fields["disks"])
        self.probe: Final[tuple[ProbeRow, ...]] = tuple(fields.get("probe", ()))
        self.profiles: Final[tuple[ProfileRow, ...]] = tuple(fields["profiles"])
        self.findings: Final[tuple[AuditFinding, ...]] = tuple(fields["findings"])
        self.problems: Final[tuple[UnreadSource, ...]] = tuple(fields["problems"])
        self.notes: Final[tuple[str, ...]] = tuple(fields["notes"])
        self.rules: Final[tuple[RuleInfo, ...]] = tuple(fields["rules"])
        self.guests: Final[dict[str, list[str]]] = dict(fields.get("guests", {}))
        self.locks: Final[dict[str, dict[str, int]]] = dict(fields.get("locks", {}))
        self.uses: Final[dict[str, list[tuple[str, str, str]]]] = dict(fields.get("uses", {}))
        self.since: Final[Since | None] = fields.get("since")
        self.trend: Final[tuple[Point, ...]] = tuple(fields.get("trend", ()))

    @property
    def counted(self) -> tuple[AuditFinding, ...]:
        """The findings that no waiver covers."""
        return tuple(finding for finding in self.findings if finding.waived is None)
