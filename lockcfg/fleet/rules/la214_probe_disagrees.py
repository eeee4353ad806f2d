"""A probe that showed something else than mounts and numbers let one expect.

## What it does

Reports what `lockcfg probe` showed and what the audit infers without it, where these disagree:
whether two directories are one, or whether locks there reach other hosts. The result of the probe
counts.

## Why is this bad

One of the two is wrong. If it is what the mounts say, the storage does not exist, or is not shared,
although people believe so; if it is the probe, it ran while something was changed.

## Example

Both hosts name one export of one server, and find two scratch files there:

```yaml fleet
kvm01:
  evidence:
    number: 1
    hosts: 2
    directories: [{path: /srv/locks/files, nonce: 5eed, marked: [1], locked: [1]}]
kvm02:
  evidence:
    number: 2
    hosts: 2
    directories: [{path: /srv/locks/files, nonce: beef, marked: [2], locked: [2]}]
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: look at the directory on both hosts, and make the probe again.
"""

from __future__ import annotations

from lockcfg.fleet.model.place import relation
from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Final

    from lockcfg.fleet.comparison.fleet import Fleet
    from lockcfg.fleet.model.evidence import Sight
    from lockcfg.fleet.model.facts import Facts
    from lockcfg.fleet.model.place import Location

RULE = Rule("LA214", "probe-disagrees", "error", scope="fleet")

#: How many places of one round are compared with each other at most.
_COMPARED: Final = 200


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    places: dict[str, dict[tuple[str, Location], list[str]]] = {}
    for host, sights in sorted(fleet.probe.sights.items(), key=lambda each: fleet.names[each[0]]):
        name = fleet.names[host]
        for path, place, sight in _looked_at(fleet.expected[host], sights):
            key = (sight.nonce, place)
            places.setdefault(sight.round, {}).setdefault(key, []).append(name)
            if {sight.reach, place.carries} == {"yes", "no"}:
                seen = "see" if sight.reach == "yes" else "do not see"
                yield Observation(
                    f"{path} is on {place.why}, and a probe showed that hosts {seen} each other's"
                    " locks there",
                    hosts=[name],
                    help=_HELP,
                )
    words = fleet.policy.words if fleet.policy else None
    for found in places.values():
        several = list(found.items())[:_COMPARED]
        if len(found) > _COMPARED:
            yield Observation(
                f"a probe saw {len(found)} directories: it is unknown whether it disagrees with"
                " mounts and numbers, as not all were compared",
                hosts=sorted({host for hosts in found.values() for host in hosts}),
                severity="warning",
                help="make a probe for each group of hosts",
                unknown=True,
            )
        for number, ((nonce, one), of_one) in enumerate(several):
            for (other_nonce, other), of_other in several[number + 1 :]:
                expected = relation(one, other, words=words)
                shown = "same" if nonce == other_nonce else "different"
                if {expected, shown} == {"same", "different"}:
                    is_, was = ("one", "two") if shown == "same" else ("two", "one")
                    yield Observation(
                        f"{_told(one, other)}: a probe showed that this is {is_} director"
                        f"{'y' if is_ == 'one' else 'ies'}, and by mounts and numbers it is {was}",
                        hosts=[*of_one, *of_other],
                        help=_HELP,
                    )


def _told(one: Location, other: Location) -> str:
    return one.shown if one.shown == other.shown else f"{one.shown} and {other.shown}"


def _looked_at(facts: Facts, sights: Mapping[str, Sight]) -> Iterator[tuple[str, Location, Sight]]:
    """The directories of a host about which a probe showed something, each once."""
    seen: set[str] = set()
    for directory in (*facts.spaces, *facts.leases, *facts.storages, *facts.spare):
        sight = sights.get(directory.path)
        if sight is not None and directory.path not in seen:
            seen.add(directory.path)
            yield directory.path, directory.place, sight


_HELP: Final = "look at the directory on these hosts, and make the probe again"
