"""Finds what has become better or worse since an earlier audit. Pure: it compares a report and a
result."""

from __future__ import annotations

from lockcfg.fleet.comparison.moved import moved
from lockcfg.fleet.comparison.result import FindingChange, Since

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, Final

    from lockcfg.fleet.comparison.result import AuditFinding, AuditResult

    #: A finding: severity, code, name of the rule, message, hosts.
    _Row = tuple[str, str, str, str, list[str]]

    #: All of a finding but its hosts.
    _Words = tuple[str, str, str, str]

#: The severities that count; findings for information only come and go.
_COUNTED: Final = ("error", "warning")

#: The order of verdicts on a disk.
_RANKS: Final = {"yes": 0, "unknown": 1, "no": 2}

_WORDS: Final = {"yes": "safe", "unknown": "not known", "no": "unsafe"}


def since_of(old: Mapping[str, Any], result: AuditResult) -> Since:
    """What is better and what is worse in ``result`` than in ``old``, the JSON report of an earlier
    audit. Raises KeyError, TypeError or ValueError if ``old`` is not such a report.

    Two findings are the same if they have the same rule and the same host. For a host that only one
    of the two audits has, only its name counts.
    """
    before: set[str] = set().union(*[profile["hosts"] for profile in old["profiles"]])
    now: set[str] = set().union(*[profile.hosts for profile in result.profiles])
    was = [
        (
            str(each["severity"]),
            str(each["code"]),
            str(each["rule"]),
            str(each["message"]),
            list(each["hosts"]),
        )
        for each in old["findings"]
        if each["waived"] is None and each["severity"] in _COUNTED
    ]
    is_now = [_row(each) for each in result.counted if each.severity in _COUNTED]
    was, is_now, known, found = _unlike(was, is_now)
    domains = moved(old["domains"], result.domains, before, now)
    worse = [
        *_changes(is_now, known, before | _unseen(result)),
        *_disks(old, result, worse=True),
        *domains.left,
    ]
    better = [
        *_changes(was, found, now),
        *_disks(old, result, worse=False),
        *domains.joined,
    ]
    return Since(
        int(old["now"]),
        str(old["verdict"]["level"]),
        str(old["verdict"]["text"]),
        worse,
        better,
        sorted(now - before),
        sorted(before - now),
    )


def base_of(result: AuditResult) -> dict[str, Any]:
    """What :func:`since_of` must know of an earlier audit: some members of its JSON report."""
    return {
        "now": result.now,
        "verdict": {"level": result.verdict.level, "text": result.verdict.text},
        "profiles": [{"hosts": profile.hosts} for profile in result.profiles],
        "findings": [
            {
                "severity": each.severity,
                "code": each.code,
                "rule": each.rule,
                "message": each.message,
                "hosts": each.hosts,
                "waived": None,
            }
            for each in result.counted
        ],
        "domains": [
            {
                "kind": domain.kind,
                "mode": domain.mode,
                "key": domain.key,
                "reach": domain.reach,
                "where": domain.where,
                "hosts": domain.hosts,
            }
            for domain in result.domains
        ],
        "disks": [{"name": disk.name, "safe": disk.safe} for disk in result.disks],
    }


def _unlike(
    was: Iterable[_Row], is_now: Iterable[_Row]
) -> tuple[list[_Row], list[_Row], set[tuple[str, str]], set[tuple[str, str]]]:
    """The findings that only one of two audits has with just these hosts; and the pairs of rule and
    host that each audit has, of the rules that they are of. Of a large fleet most are the same."""
    before, after = _by_words(was), _by_words(is_now)
    # Of most findings all is the same, and only of others the hosts of each are looked at.
    old = _lacking(before, after)
    new = _lacking(after, before)
    codes = {row[1] for row in (*old, *new)}
    pairs = [
        _pairs(
            (*words, hosts)
            for words, several in rows.items()
            if words[1] in codes
            for hosts in several
        )
        for rows in (before, after)
    ]
    return old, new, pairs[0], pairs[1]


def _by_words(rows: Iterable[_Row]) -> dict[_Words, list[list[str]]]:
    """The hosts of the findings that say the same."""
    found: dict[_Words, list[list[str]]] = {}
    for *words, hosts in rows:
        found.setdefault(tuple(words), []).append(hosts)  # type: ignore[arg-type]
    return found


def _lacking(
    one: Mapping[_Words, list[list[str]]], other: Mapping[_Words, list[list[str]]]
) -> list[_Row]:
    """The findings in ``one`` that ``other`` does not have with just these hosts."""
    found: list[_Row] = []
    for words, several in one.items():
        theirs = other.get(words, [])
        if several != theirs:
            there = {tuple(hosts) for hosts in theirs}
            distinct = {tuple(hosts): hosts for hosts in several}
            found += ((*words, hosts) for each, hosts in distinct.items() if each not in there)
    return found


def _row(finding: AuditFinding) -> _Row:
    hosts = list(finding.hosts)
    return finding.severity, finding.code, finding.rule, finding.message, hosts


def _unseen(result: AuditResult) -> set[str]:
    """The hosts that have no snapshot now, which is a change for the worse, too."""
    return set(result.hosts).difference(*[profile.hosts for profile in result.profiles])


def _pairs(rows: Iterable[_Row]) -> set[tuple[str, str]]:
    return {(code, host) for _, code, _, _, hosts in rows for host in hosts or [""]}


def _changes(
    rows: Iterable[_Row],
    others: set[tuple[str, str]],
    comparable: set[str],
) -> Iterable[FindingChange]:
    """The findings of one audit that the other does not have, about hosts that both have."""
    for severity, code, rule, message, hosts in rows:
        if not hosts and (code, "") not in others:
            yield FindingChange(severity, f"{message} [{code} {rule}]", ())
        left = [host for host in hosts if (code, host) not in others and host in comparable]
        if left:
            yield FindingChange(severity, f"{message} [{code} {rule}]", sorted(left))


def _disks(old: Mapping[str, Any], result: AuditResult, *, worse: bool) -> Iterable[FindingChange]:
    before = {str(disk["name"]): str(disk["safe"]) for disk in old["disks"]}
    for disk in sorted(result.disks, key=lambda disk: disk.name):
        was = before.get(disk.name)
        if was is None:
            continue
        step = _RANKS[disk.safe] - _RANKS[was]
        if (step > 0) if worse else (step < 0):
            severity = "error" if "no" in (was, disk.safe) else "warning"
            yield FindingChange(
                severity, f"{disk.name} was {_WORDS[was]}, and is {_WORDS[disk.safe]}", disk.hosts
            )
