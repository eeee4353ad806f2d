"""One page in one file, for people who decide about a fleet and for people who repair it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from itertools import groupby

from lockcfg.fleet.policy.host_ranges import fold
from lockcfg.report.audit.pages import breakable, content_policy, environment, text_of
from lockcfg.report.audit.probe import sentences
from lockcfg.report.audit.words import KIND_WORDS, LEVELS, standing_in_words, standing_of
from lockcfg.report.terminal import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, Final, TextIO

    from lockcfg.fleet.comparison.result import (
        AuditFinding,
        AuditResult,
        DomainRow,
        GroupRow,
        ProbeRow,
        ProfileRow,
    )
    from lockcfg.fleet.store.history import Point
    from lockcfg.report.audit.words import Standing

#: The order of severities, the worst first.
_RANKS: Final = {"error": 0, "warning": 1, "info": 2, None: 3}

#: How many shared storages the page names.
_STORAGES: Final = 6

#: The longest list of hosts that the page shows at once.
_LONGEST: Final = 48

#: The longest list that is printed; the page on the screen has the rest.
_PRINTED: Final = 600

#: The most disks that the page shows, and the most hosts of a matrix of a probe.
_DISKS: Final = 2000
_PROBED: Final = 40

#: The most findings that a row links to.
_CAUSES: Final = 8

#: The mark for a pair of hosts in the matrix of a probe.
_SEEN: Final = {"yes": "=", "no": "×", "unknown": "?"}

#: The width of one character of a domain's label on the map, in per cent of a wide page.
_CHARACTER: Final = 0.9

#: The mark on a domain of the map, whatever its colour, and its meaning. The legend has them in
#: this order.
_SIGNS: Final[dict[Standing, tuple[str, str]]] = {
    "yes": ("=", "exclude each other"),
    "apart": ("≠", "exclude each other, apart from the rest"),
    "unknown": ("?", "not known"),
    "no": ("×", "each host alone"),
}


def write(result: AuditResult, stream: TextIO) -> None:
    """See :mod:`lockcfg.report.audit`."""
    sets = _HostSets()
    domains = {
        name: list(rows) for name, rows in groupby(result.domains, key=lambda row: row.group)
    }
    style, script = text_of("page.css"), text_of("page.js")
    page = (
        environment()
        .get_template("page.html.jinja")
        .render(
            result=result,
            level=LEVELS[result.verdict.level],
            when=_time(result.now),
            style=style,
            script=script,
            policy=content_policy(style, script),
            counts=_counts(result),
            signs=_SIGNS,
            groups=[
                _group(group, domains.get(group.name, []), sets)
                for group in _worst_first(result.groups)
            ],
            columns=_columns(result),
            profiles=_profiles(result, sets),
            findings=[
                {
                    "said": finding,
                    "hosts": _hosts(finding.hosts, sets),
                    "id": f"finding-{number}",
                }
                for number, finding in enumerate(result.findings, 1)
            ],
            disks=[
                {
                    "said": disk,
                    "hosts": _hosts(disk.hosts, sets),
                    "why": disk.reasons,
                    "severity": {"no": "error", "unknown": "warning"}.get(disk.safe, "none"),
                }
                for disk in result.disks[:_DISKS]
            ],
            more_disks=max(0, len(result.disks) - _DISKS),
            safe_words=_SAFE,
            probe=[_probe(row, sets) for row in result.probe],
            probe_words=list(sentences(result.probe)),
            since=result.since,
            trend=_trend(result.trend),
            since_when=_time(result.since.then) if result.since else "",
            folded=lambda hosts: ", ".join(fold(hosts)),
            guests={
                escape(host): [escape(guest) for guest in of_host]
                for host, of_host in sorted(result.guests.items())
            },
            locks={
                escape(host): [
                    [escape(path), _time(since) if since else "not known"]
                    for path, since in sorted(held.items())
                ]
                for host, held in sorted(result.locks.items())
            },
            uses={
                escape(host): [
                    [escape(guest), escape(path), _HELD.get(held, held)]
                    for guest, path, held in rows
                ]
                for host, rows in sorted(result.uses.items())
            },
            unknown=_hosts(result.unknown, sets),
            sets=sets.names,
        )
    )
    stream.write(page)


def _time(seconds: int) -> str:
    """A time as people write it; a time that no calendar has stays a number."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return str(seconds)


#: What is held for a disk, in words.
_HELD: Final = {
    "held": "held",
    "elsewhere": "not held; another one is",
    "none": "not held",
    "replaced": "held on a file that was replaced",
    "unknown": "not known",
    "": "none: the guest is off, or nothing is locked for it",
}


#: The verdicts on a disk: the colour, and the words.
_SAFE: Final = {
    "no": ("error", "unsafe"),
    "unknown": ("warning", "not known"),
    "yes": ("good", "safe"),
}


#: How a verdict is drawn: as the domains of a fleet of which it is the verdict.
_VERDICTS: Final[dict[str, Standing]] = {"safe": "yes", "unknown": "unknown", "unsafe": "no"}


def _trend(points: Sequence[Point]) -> list[dict[str, Any]]:
    """What audits came to, each from its time to that of the next, to scale."""
    if len(points) < 2:
        return []
    times = [point.time for point in points] + [points[-1].until]
    whole = max(1, times[-1] - times[0])
    return [
        {
            "said": point,
            "when": _time(point.time),
            "last": _time(point.until),
            "standing": _VERDICTS[point.level],
            "colour": LEVELS[point.level],
            "x": f"{100 * (begun - times[0]) / whole:.2f}%",
            # A short one is seen, too.
            "width": f"{max(0.3, 100 * (ended - begun) / whole):.2f}%",
        }
        for point, begun, ended in zip(points, times, times[1:], strict=False)
    ]


def _probe(row: ProbeRow, sets: _HostSets) -> dict[str, Any]:
    """A scratch file of a probe: a matrix of its hosts, if they are few enough to show."""
    apart = {frozenset(pair[:2]): pair[2] for pair in row.pairs}
    few = 1 < len(row.hosts) <= _PROBED
    return {
        "said": row,
        "hosts": _hosts(row.hosts, sets),
        "where": ", ".join(row.paths),
        "when": _time(row.taken),
        "rows": [
            (
                host,
                [
                    ("", "–")
                    if host == other
                    else ((seen := apart.get(frozenset((host, other)), "yes")), _SEEN[seen])
                    for other in row.hosts
                ],
            )
            for host in (row.hosts if few else ())
        ],
    }


class _HostSets:
    """The distinct sets of hosts on the page, once each: the script searches them."""

    def __init__(self) -> None:
        self.names: list[list[str]] = []
        self._numbers: dict[tuple[str, ...], int] = {}

    def number(self, hosts: Sequence[str]) -> int:
        """The number of a set."""
        key = tuple(hosts)
        if key not in self._numbers:
            self._numbers[key] = len(self.names)
            self.names.append([escape(host) for host in hosts])
        return self._numbers[key]


def _hosts(hosts: Sequence[str], sets: _HostSets) -> dict[str, Any]:
    """Hosts as the template shows them: ``short`` is the beginning of a list that is too long."""
    folded = ", ".join(fold(hosts))
    short = folded
    if len(folded) > _LONGEST:
        short = folded[:_LONGEST].rsplit(",", 1)[0] + ", …"
    return {
        "count": len(hosts),
        "all": breakable(folded),
        "short": breakable(short),
        "many": len(folded) > _PRINTED,
        "set": sets.number(hosts),
    }


def _counts(result: AuditResult) -> list[tuple[str, int, str]]:
    """The figures at the top, each with its label and its colour."""
    errors, warnings = (
        sum(finding.severity == severity for finding in result.counted)
        for severity in ("error", "warning")
    )
    unsafe = sum(disk.safe == "no" for disk in result.disks)
    return [
        ("host" if len(result.hosts) == 1 else "hosts", len(result.hosts), ""),
        ("error" if errors == 1 else "errors", errors, "error" if errors else "good"),
        ("warning" if warnings == 1 else "warnings", warnings, "warning" if warnings else "good"),
        (
            f"{'host' if len(result.unknown) == 1 else 'hosts'} not known well enough",
            len(result.unknown),
            "warning" if result.unknown else "",
        ),
        ("shared disk" if len(result.disks) == 1 else "shared disks", len(result.disks), ""),
        ("of them unsafe", unsafe, "error" if unsafe else "good"),
    ]


def _worst_first(groups: Iterable[GroupRow]) -> list[GroupRow]:
    return sorted(groups, key=lambda group: (_RANKS[group.worst], group.name))


def _group(group: GroupRow, rows: Sequence[DomainRow], sets: _HostSets) -> dict[str, Any]:
    """A group, and for each kind of disk its domains."""
    named = group.inferred and group.storages != (group.name,)
    return {
        "said": group,
        "shared": _some(group.storages) if group.name and named else "",
        "kinds": [
            {"name": KIND_WORDS[kind], "domains": _map(list(domains), sets)}
            for kind, domains in groupby(rows, key=lambda row: row.kind)
        ],
    }


def _some(storages: Sequence[str]) -> str:
    """The beginning of a list that may be long."""
    more = len(storages) - _STORAGES
    return ", ".join(storages[:_STORAGES]) + (f" and {more} more" if more > 0 else "")


def _map(domains: Sequence[DomainRow], sets: _HostSets) -> list[dict[str, Any]]:
    """The domains for a kind of disk, the largest first, with their places on the map."""
    ordered = sorted(domains, key=lambda row: (-len(row.hosts), row.where, row.hosts))
    hosts = sum(len(row.hosts) for row in ordered) or 1
    widths = [100 * len(row.hosts) / hosts for row in ordered]
    shown = []
    left = 0.0
    for row, share in zip(ordered, widths, strict=True):
        standing = standing_of(row)
        sign, count = _SIGNS[standing][0], len(row.hosts)
        labels = (f"{sign} {count}", sign, "")
        label = next((label for label in labels if len(label) * _CHARACTER < share), "")
        shown.append(
            {
                "said": row,
                "standing": standing,
                "words": standing_in_words(row),
                "hosts": _hosts(row.hosts, sets),
                "x": f"{left:.2f}%",
                "width": f"{share:.2f}%",
                "middle": f"{left + share / 2:.2f}%",
                "label": label,
                # The size of the plate under a label on a pattern, in pixels.
                "plate": 9 * len(label) + 9,
                # A label that is too wide for a narrow page.
                "tight": share < 1.6 * len(label) * _CHARACTER,
            }
        )
        left += share
    return shown


def _columns(result: AuditResult) -> list[dict[str, Any]]:
    """The columns of the matrix; ``same`` are the columns in which all hosts are alike."""
    names = dict.fromkeys(name for row in result.profiles for name in row.settings)
    return [
        {
            "name": name,
            "same": len(result.profiles) > 1
            and len({row.settings.get(name) for row in result.profiles}) == 1,
        }
        for name in names
    ]


def _profiles(result: AuditResult, sets: _HostSets) -> list[dict[str, Any]]:
    """The rows of the matrix, the worst first."""
    rows = sorted(
        result.profiles,
        key=lambda row: (_RANKS[row.worst], row.group, -len(row.hosts), row.hosts),
    )
    return [
        {"said": row, "hosts": _hosts(row.hosts, sets), **_why(row, result.findings)}
        for row in rows
    ]


def _why(row: ProfileRow, findings: Sequence[AuditFinding]) -> dict[str, Any]:
    """Why a row has its colour: the findings of its severity about its hosts, each with its number,
    its code and its message, and how many are left out. Findings of one code are counted, as two
    links of one text lead to two places."""
    hosts = set(row.hosts)
    found = [
        (number, finding.code, finding.message)
        for number, finding in enumerate(findings, 1)
        if row.worst is not None
        and finding.severity == row.worst
        and finding.waived is None
        and not hosts.isdisjoint(finding.hosts)
    ]
    codes = Counter(code for _, code, _ in found)
    times: Counter[str] = Counter()
    why: list[tuple[int, str, str]] = []
    for number, code, message in found[:_CAUSES]:
        times[code] += 1
        words = f"{code} ({times[code]})" if codes[code] > 1 else code
        why.append((number, words, message))
    return {"why": why, "more": max(0, len(found) - _CAUSES)}
