"""The audit: it makes a finished result from a store."""

from __future__ import annotations

from itertools import chain

from lockcfg.counted import counted
from lockcfg.findings import SEVERITIES
from lockcfg.fleet.comparison.disks import judge_disks
from lockcfg.fleet.comparison.fleet import load_fleet
from lockcfg.fleet.comparison.matrix import columns_of, odd_columns
from lockcfg.fleet.comparison.memory import Memory
from lockcfg.fleet.comparison.result import (
    AuditFinding,
    AuditResult,
    DomainRow,
    GroupRow,
    ProfileRow,
    Verdict,
    Waived,
)
from lockcfg.fleet.comparison.scratches import probe_rows
from lockcfg.fleet.rules import TABLE, audit_rule, names_rule
from lockcfg.rules.rule import RuleInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Final

    from lockcfg.findings import Severity
    from lockcfg.fleet.comparison.fleet import Fleet
    from lockcfg.fleet.comparison.groups import Cell
    from lockcfg.fleet.model.facts import Facts
    from lockcfg.fleet.policy.policy import Policy
    from lockcfg.fleet.rules.observation import Observation
    from lockcfg.fleet.store.store import Store
    from lockcfg.rules.rule import Rule

    #: What the hosts of one row of the matrix share: the columns, whether enough is known, the
    #: worst severity.
    _Look = tuple[tuple[tuple[str, str], ...], bool, Severity | None]

#: Where the manual of a rule is, in the project's documentation.
RULE_URL: Final = "docs/rules/{code}.md"

#: The rules about waivers, which run after the others.
_OF_WAIVERS: Final = ("la502_waiver_expired", "la503_waiver_unneeded")

#: For how many hosts of a finding the audit names the file.
_PLACES: Final = 1000

#: The order of reaches, the worst first.
_REACHES: Final = {"no": 0, "unknown": 1, "yes": 2}


def read_fleet(
    store: Store,
    *,
    now: int,
    policy: Policy | None = None,
    max_age: int | None = None,
    memory: Memory | None = None,
) -> Fleet:
    """The fleet in ``store``, with the verdicts on its disks. ``now`` is in seconds since the
    epoch. ``max_age`` overrides the policy's limit for the age of facts, in seconds. ``memory`` is
    that of an earlier audit by the same policy."""
    memory = memory or Memory()
    memory.begin()
    fleet = load_fleet(store, now=now, policy=policy, max_age=max_age, memory=memory)
    ways = {number: memory.use(text) for number, text in store.ways()}
    fleet.disks = list(
        judge_disks(
            store.shared_disks(),
            fleet.places,
            ways,
            store.names_of_one_disk(),
            policy.words if policy else None,
            stale=fleet.stale,
            memory=memory,
        )
    )
    return fleet


def audit_of(fleet: Fleet, *, version: str = "") -> AuditResult:
    """Audit ``fleet``, and return the result."""
    findings = _Findings(fleet)
    for name in TABLE:
        if name not in _OF_WAIVERS:
            findings.run(name)
    findings.waive()
    for name in _OF_WAIVERS:
        findings.run(name)
    done = findings.sorted()
    worst = _worst_of(done)
    hosts = sorted(
        set(fleet.missing).union(
            (problem.host for problem in fleet.problems if problem.host),
            *[cell.hosts for cell in fleet.cells],
        )
    )
    not_known, uncertain = findings.unknown()
    unknown = sorted(not_known)
    return AuditResult(
        version=version,
        now=fleet.now,
        policy=fleet.policy.path if fleet.policy else "",
        verdict=_verdict(fleet, done, hosts, unknown, more=uncertain),
        hosts=hosts,
        unknown=unknown,
        groups=_group_rows(fleet, worst),
        domains=_domain_rows(fleet),
        disks=sorted(
            fleet.disks,
            key=lambda disk: (_REACHES[disk.safe], not disk.written, disk.name),
        ),
        probe=probe_rows(fleet.probe, fleet.names),
        profiles=_profile_rows(fleet, worst, not_known),
        findings=done,
        problems=fleet.problems,
        notes=_notes(fleet),
        rules=_infos(),
    )


class _Findings:
    """Gathers what the rules observe: the same observation about several hosts is one finding. Each
    finding carries whether it leaves something unknown."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._hosts: dict[tuple[object, ...], list[str]] = {}
        self._done: list[tuple[AuditFinding, bool]] = []
        self._facts: dict[str, Facts] = {}

    def run(self, name: str) -> None:
        """Run a rule."""
        module = audit_rule(name)
        rule = module.RULE
        if rule.scope == "fleet":
            for observation in module.check(self._fleet):
                self._add(rule, observation, observation.group, observation.hosts or ())
        else:
            for cell in self._fleet.cells:
                for observation in module.check(cell):
                    hosts = cell.hosts if observation.hosts is None else observation.hosts
                    self._add(rule, observation, cell.group, hosts)
        for key, hosts in self._hosts.items():
            severity, message, group, reasons, advice, unknown, cause = key
            finding = AuditFinding(
                rule.code,
                rule.name,
                severity,  # type: ignore[arg-type]
                message,  # type: ignore[arg-type]
                sorted(set(hosts)),
                group=group,  # type: ignore[arg-type]
                reasons=reasons,  # type: ignore[arg-type]
                help=advice,  # type: ignore[arg-type]
                places=self._places(str(cause), hosts) if cause else None,
            )
            self._done.append((finding, bool(unknown)))
        self._hosts.clear()

    def _places(self, cause: str, hosts: Sequence[str]) -> dict[str, tuple[str, int]]:
        """Where hosts have a setting, a file, or a line of it. In a repository it is the file that
        was read; otherwise it is the path on the host, after the host's name."""
        if not self._facts:
            for cell in self._fleet.cells:
                self._facts.update(dict.fromkeys(cell.hosts, cell.facts))
        found: dict[str, tuple[str, int]] = {}
        for host in hosts[:_PLACES]:
            facts = self._facts.get(host)
            if facts is None:
                continue
            file, _, at = cause.partition(":")
            file, line = facts.lines.get(cause, (file, int(at or 0)))
            if file.endswith(".conf"):
                top = self._fleet.sources.get(host, f"{host}/etc/libvirt")
                found[host] = (f"{top}/{file}", line)
        return found

    def _add(self, rule: Rule, observation: Observation, group: str, hosts: Sequence[str]) -> None:
        key = (
            observation.severity or rule.severity,
            observation.message,
            group,
            observation.reasons,
            observation.help,
            observation.unknown,
            observation.cause,
        )
        self._hosts.setdefault(key, []).extend(hosts)

    def waive(self) -> None:
        """Mark the findings that the policy waives, so that they do not count."""
        policy = self._fleet.policy
        for waiver in policy.waivers if policy else ():
            expired = waiver.has_expired(self._fleet.now)
            covered: set[str] = set()
            found = False
            result: list[tuple[AuditFinding, bool]] = []
            for finding, unknown in self._done:
                hosts = (
                    [host for host in finding.hosts if host in waiver.hosts]
                    if finding.waived is None
                    and names_rule(waiver.rule, finding.code, finding.rule)
                    else []
                )
                if not hosts:
                    result.append((finding, unknown))
                    continue
                found = True
                covered.update(hosts)
                if expired:
                    result.append((finding, unknown))
                    continue
                until = waiver.until.isoformat() if waiver.until else ""
                rest = [host for host in finding.hosts if host not in waiver.hosts]
                waived = finding.replace(hosts=hosts, waived=Waived(waiver.reason, until))
                result.append((waived, unknown))
                if rest:
                    result.append((finding.replace(hosts=rest), unknown))
            self._done = result
            if expired and found:
                self._fleet.expired.append((waiver, tuple(sorted(covered))))
            elif not found:
                self._fleet.unneeded.append(waiver)

    def unknown(self) -> tuple[set[str], bool]:
        """The hosts of which a finding leaves something unknown, and whether a finding about no
        host does. A waived finding does not count: its author vouches for the host."""
        hosts: set[str] = set()
        uncertain = False
        for finding, unknown in self._done:
            if unknown and finding.waived is None:
                hosts.update(finding.hosts)
                uncertain |= not finding.hosts
        return hosts, uncertain

    def sorted(self) -> list[AuditFinding]:
        """All findings, the worst first."""
        return sorted(
            (finding for finding, _ in self._done),
            key=lambda finding: (
                finding.waived is not None,
                SEVERITIES.index(finding.severity),
                finding.code,
                finding.group,
                finding.message,
                finding.reasons,
                finding.hosts,
            ),
        )


def _worst_of(findings: Iterable[AuditFinding]) -> dict[str, Severity]:
    """The worst severity of the findings about each host that has any."""
    worst: dict[str, Severity] = {}
    for finding in findings:  # the worst findings come first
        if finding.waived is None:
            for host in finding.hosts:
                worst.setdefault(host, finding.severity)
    return worst


def _worst(hosts: Iterable[str], worst: Mapping[str, Severity]) -> Severity | None:
    found = {worst[host] for host in hosts if host in worst}
    return min(found, key=SEVERITIES.index) if found else None


def _verdict(
    fleet: Fleet,
    findings: Sequence[AuditFinding],
    hosts: Sequence[str],
    unknown: Sequence[str],
    *,
    more: bool,
) -> Verdict:
    """The verdict. Waived findings do not count; unknown is never safe."""
    errors = [f for f in findings if f.severity == "error" and f.waived is None]
    if not hosts:
        return Verdict("unknown", "There is no host to judge.")
    if errors:
        wrong = {host for finding in errors for host in finding.hosts}
        disks = sum(disk.safe == "no" for disk in fleet.disks)
        text = f"Not safe: {counted(len(wrong), 'host')} of {len(hosts)} with errors"
        if not wrong:
            text = f"Not safe: {counted(len(errors), 'error')} without a known host"
        if disks:
            text += f", {counted(disks, 'disk')} that two guests could write at once"
        return Verdict("unsafe", f"{text}.")
    if unknown or more:
        what = counted(len(unknown), "host") if unknown else "something"
        return Verdict(
            "unknown",
            f"Nothing wrong was found, but too little is known of {what} to call it safe.",
        )
    word = ""
    if fleet.policy is not None and fleet.policy.words is not None:
        word = " This rests on what the policy says of storage, which no host shows."
    if len(hosts) == 1:
        return Verdict("safe", f"Safe: nothing wrong was found on the only host.{word}")
    return Verdict(
        "safe", f"Safe: all {len(hosts)} hosts exclude each other where they share disks.{word}"
    )


def _group_rows(fleet: Fleet, worst: Mapping[str, Severity]) -> list[GroupRow]:
    return [
        GroupRow(
            group.name,
            hosts := group.hosts,
            group.storages,
            inferred=group.inferred,
            worst=_worst(hosts, worst),
        )
        for group in fleet.groups
    ]


def _domain_rows(fleet: Fleet) -> list[DomainRow]:
    """The domains, the ones with the least reach first."""
    rows: list[DomainRow] = []
    for group in fleet.groups:
        for kind in group.kinds:
            domains = group.domains(kind, fleet.ambiguous)
            leading = group.leading(domains)
            rows += [
                DomainRow(
                    group.name,
                    domain.kind,
                    domain.mode,
                    domain.key,
                    domain.reach,
                    domain.where,
                    sorted(chain.from_iterable(cell.hosts for cell in cells)),
                    # A host that shares no storage need not exclude any other.
                    apart=bool(group.name) and domain.reach == "yes" and domain is not leading,
                )
                for domain, cells in domains
            ]
    return sorted(
        rows,
        key=lambda row: (
            row.group,
            _KIND_ORDER[row.kind],
            _REACHES[row.reach],
            not row.apart,
            row.mode,
            row.key,
        ),
    )


_KIND_ORDER: Final = {"image": 0, "block": 1, "lvm": 2, "scsi": 3, "lease": 4}


def _profile_rows(
    fleet: Fleet, worst: Mapping[str, Severity], unknown: set[str]
) -> list[ProfileRow]:
    """The rows of the matrix: hosts of a group whose settings look alike, the worst first."""
    rows: list[ProfileRow] = []
    for group in fleet.groups:
        usual = odd_columns(group)
        by_look: dict[_Look, tuple[dict[str, str], list[str], set[str], set[str]]] = {}
        for cell in group.cells:
            columns = columns_of(cell)
            for known, severity, hosts in _apart(cell, worst, unknown):
                look = (tuple(columns.items()), known, severity)
                found = by_look.setdefault(look, (columns, [], set(), set()))
                found[1].extend(hosts)
                found[2].update(_mounts_of(cell))
                found[3].update(use.held for use in cell.uses if use.held)
        for (_, known, severity), (columns, hosts, mounts, held) in by_look.items():
            odd = [name for name in columns if name in usual and columns[name] != usual[name]]
            rows.append(
                ProfileRow(
                    group.name,
                    columns,
                    sorted(hosts),
                    odd=odd,
                    known=known,
                    worst=severity,
                    mounts=sorted(mounts),
                    held=sorted(held),
                )
            )
    return sorted(
        rows,
        key=lambda row: (
            row.group,
            SEVERITIES.index(row.worst) if row.worst else len(SEVERITIES),
            row.known,
            row.hosts[0],
        ),
    )


def _mounts_of(cell: Cell) -> list[str]:
    """What the directories of hosts are on, in words."""
    facts = cell.facts
    return [
        f"{each.path}: {each.place.shown if each.place.system else each.place.why}"
        + (f" ({each.type})" if each.type else "")
        for each in (*facts.spaces, *facts.leases, *facts.storages)
    ]


def _apart(
    cell: Cell, worst: Mapping[str, Severity], unknown: set[str]
) -> Iterable[tuple[bool, Severity | None, list[str]]]:
    """The hosts of a cell, apart by the findings about them."""
    if unknown.isdisjoint(cell.hosts) and worst.keys().isdisjoint(cell.hosts):
        return [(True, None, cell.hosts)]
    by_state: dict[tuple[bool, Severity | None], list[str]] = {}
    for host in cell.hosts:
        by_state.setdefault((host not in unknown, worst.get(host)), []).append(host)
    return [(*state, hosts) for state, hosts in by_state.items()]


def _notes(fleet: Fleet) -> list[str]:
    notes: list[str] = []
    inferred = "inferred from the file systems and block devices that guests' disks are on"
    if fleet.policy is not None and fleet.policy.groups:
        ungrouped = sum(len(group.hosts) for group in fleet.groups if group.inferred)
        if ungrouped:
            hosts = counted(ungrouped, "host")
            notes.append(f"{hosts} in no group of the policy: who shares storage was {inferred}")
    elif fleet.cells:
        notes.append(f"groups were {inferred}")
    return notes


def _infos() -> list[RuleInfo]:
    infos: list[RuleInfo] = []
    for name in TABLE:
        module = audit_rule(name)
        rule = module.RULE
        summary = (module.__doc__ or "").partition("\n")[0]
        url = RULE_URL.format(code=rule.code)
        infos.append(RuleInfo(rule.code, rule.name, rule.severity, summary, url))
    return infos
