"""Makes a plan, and forecasts what an audit will still find when the plan is done.

It takes the hosts as the plan leaves them and audits them again: the plan does not cover what that
audit finds. This is a forecast by the same model, and not a real audit; so the last step of every
plan is to look.
"""

from __future__ import annotations

from itertools import groupby

from lockcfg.fleet.audit import audit_of
from lockcfg.fleet.comparison.disks import judge_disks
from lockcfg.fleet.comparison.fleet import Fleet
from lockcfg.fleet.comparison.groups import Group
from lockcfg.fleet.model.uses import Use, use_after
from lockcfg.fleet.plan.plan import steps_of
from lockcfg.fleet.plan.steps import Plan, Step
from lockcfg.fleet.policy.host_ranges import fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from typing import Final

    from lockcfg.fleet.comparison.groups import Cell
    from lockcfg.fleet.comparison.result import AuditFinding
    from lockcfg.fleet.model.facts import Facts
    from lockcfg.fleet.store.store import Store


def plan_of(fleet: Fleet, store: Store) -> Plan:
    """The plan for a fleet that was read from ``store``."""
    steps, changed = steps_of(fleet, store.guests_by_owner())
    now = _findings(fleet)
    then = _outlook(fleet, changed, store) if changed else now
    mended = {host for step in steps if step.action == "mend" for host in step.hosts}
    left = {(each.code, each.group, host) for each in then for host in each.hosts or ("",)}
    covered = [
        rest
        for each in now
        if (rest := _but_for(each, [h for h in each.hosts if (each.code, each.group, h) in left]))
        and (each.hosts or (each.code, each.group, "") not in left)
    ]
    uncovered = [
        rest for each in then if (rest := _but_for(each, mended if each.code == _REFUSED else ()))
    ]
    staying = _staying(uncovered, now, steps, fleet)
    return Plan(list(_warned(steps, fleet, staying)), covered, uncovered)


#: The rules about what stays unknown: no step changes it, and no probe settles it. After
#: the plan the hosts are still not safe, and a rollout would stop when all is done.
_STAYS: Final = frozenset(("LA211", "LA310", "LA311", "LA313", "LA315", "LA316", "LA317", "LA318"))

#: Those of them that are about virtlockd. If no lock daemon runs yet, it may be lockd that does so
#: in the end.
_OF_VIRTLOCKD: Final = frozenset(("LA211", "LA318"))

#: Those that are about names of block devices, which a host has when what tells them is installed.
_OF_NAMES: Final = frozenset(("LA310", "LA315"))


def _staying(
    uncovered: Sequence[AuditFinding],
    now: Sequence[AuditFinding],
    steps: Sequence[Step],
    fleet: Fleet,
) -> list[AuditFinding]:
    """What stays unknown for certain: the findings of these rules, without the hosts of which the
    steps may settle it after all."""
    named = {host for step in steps if step.action == "install" for host in step.hosts}
    asleep = {
        host
        for cell in fleet.cells
        if cell.about("asleep") or ("virtlockd",) in cell.about("absent")
        for host in cell.hosts
    }
    known = {(each.code, host) for each in now for host in each.hosts if host not in asleep}
    staying: list[AuditFinding] = []
    for each in uncovered:
        if each.code in _OF_NAMES:
            may_go = [host for host in each.hosts if host in named]
        elif each.code in _OF_VIRTLOCKD:
            may_go = [host for host in each.hosts if (each.code, host) not in known]
        else:
            may_go = []
        rest = _but_for(each, may_go)
        if rest and each.code in _STAYS and each.severity != "info":
            staying.append(rest)
    return staying


def _warned(steps: Sequence[Step], fleet: Fleet, staying: Sequence[AuditFinding]) -> Iterator[Step]:
    """The steps, those of a group after one that says what it has no step for."""
    groups = {group.name: set(group.hosts) for group in fleet.groups}
    for name, of_group in groupby(steps, key=lambda step: step.group):
        found = [
            (each, hosts)
            for each in staying
            if (hosts := [host for host in each.hosts if host in groups[name]])
        ]
        if found:
            yield Step(
                name,
                "decide",
                sorted({host for _, hosts in found for host in hosts}),
                "these hosts are still not safe when this plan is done: it has no step for what is"
                " said here. Correct that first, or waive it in the policy. Then collect snapshots,"
                " and plan again",
                details=[
                    f"{', '.join(fold(hosts))}: {each.message} [{each.code}]"
                    + (f": {each.help}" if each.help else "")
                    for each, hosts in found
                ],
            )
        yield from of_group


#: The rule about files with which libvirt does not start; a step of the plan says to correct them.
_REFUSED: Final = "LA102"


def _but_for(finding: AuditFinding, left_out: Collection[str]) -> AuditFinding | None:
    """A finding without some of its hosts; None if it has no other hosts."""
    hosts = [host for host in finding.hosts if host not in left_out]
    if not finding.hosts or len(hosts) == len(finding.hosts):
        return finding
    return finding.replace(hosts=hosts) if hosts else None


def _findings(fleet: Fleet) -> list[AuditFinding]:
    """The findings about a fleet that no waiver covers."""
    return list(audit_of(_copy(fleet, fleet.cells, fleet.groups)).counted)


def _outlook(fleet: Fleet, changed: Mapping[int, Cell], store: Store) -> list[AuditFinding]:
    """The findings about the fleet after the plan; ``changed`` has what becomes of each cell, by
    its ``id``."""
    groups: list[Group] = []
    for group in fleet.groups:
        after = Group(
            group.name,
            inferred=group.inferred,
            policy=group.policy,
            aliases=group.aliases,
            words=group.words,
        )
        after.storages = group.storages
        after.cells.extend(changed.get(id(cell), cell) for cell in group.cells)
        groups.append(after)
    cells = [changed.get(id(cell), cell) for cell in fleet.cells]
    then = _copy(fleet, cells, groups)
    facts = {host: cell.facts for cell in cells for host in cell.hosts}
    # Whether the plan restarts the guests of hosts whose facts it changes.
    anew = {
        id(cell.facts): all(use.held in ("", "held") for use in cell.uses)
        for cell in changed.values()
        if cell not in fleet.cells
    }

    def adapted(of: Facts, use: Use) -> Use:
        return use_after(of, use, anew=anew[id(of)]) if id(of) in anew else use

    then.places = {
        number: (name, facts.get(name, now), group)
        for number, (name, now, group) in fleet.places.items()
    }
    then.disks = list(
        judge_disks(
            store.shared_disks(),
            then.places,
            {number: Use.from_json(text) for number, text in store.ways()},
            store.names_of_one_disk(),
            fleet.policy.words if fleet.policy else None,
            stale=then.stale,
            adapt=adapted,
        )
    )
    return list(audit_of(then).counted)


def _copy(fleet: Fleet, cells: list[Cell], groups: list[Group]) -> Fleet:
    """A copy of the fleet, as an audit notes in it which waivers it has used."""
    found = Fleet(fleet.now, fleet.policy, fleet.max_age)
    found.cells, found.groups = cells, groups
    for name in (
        *("disks", "problems", "ambiguous", "places", "old", "ahead", "missing", "same", "sharing"),
        *("twice", "guests_twice"),
    ):
        setattr(found, name, getattr(fleet, name))
    return found
