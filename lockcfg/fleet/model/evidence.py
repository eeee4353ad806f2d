"""Works out what a probe shows: hosts took locks on one scratch file, and asked whose locks they
see.

In a directory that several hosts share, all of them find one scratch file with one nonce, and each
sees the locks of the others. None of that is inferred, so it outranks what mounts and inode numbers
suggest. Three things make it a proof:

- Two nonces are two directories: both files were there at one time, as no host asks before all have
  taken their locks. That is what ``round`` stands for: it is made of what all of them said then.
- A lock that is not seen does not keep its host out only if that host had said, in the file itself,
  that it holds it. If it had not, nothing is shown.
- Each host looks whether it still holds its own locks, before and after it asks.

Pure: it turns the evidence in snapshots into sights.
"""

from __future__ import annotations

from collections import Counter

from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, Final

    from lockcfg.fleet.model.facts import Directory, Facts
    from lockcfg.fleet.model.place import Location
    from lockcfg.host.storage import Shared

#: How many hosts of one scratch file are compared with each other at most.
COMPARED: Final = 1000


class Sight(Frozen):
    """What a probe showed about one directory of a host. ``round`` and ``nonce`` belong to its
    scratch file. ``reach`` is yes if this host and the others that have the file see each other's
    locks, and no if they do not. It is unknown if the probe did not show that, as when this was the
    only host. ``doubtful`` says that a host did not see a lock that should have been there, and
    that this does not show enough for a no."""

    __slots__ = ("doubtful", "nonce", "reach", "round")

    def __init__(self, round: str, nonce: str, reach: Shared, *, doubtful: bool = False) -> None:
        self.round: Final = round
        self.nonce: Final = nonce
        self.reach: Final = reach
        self.doubtful: Final = doubtful

    @property
    def ids(self) -> tuple[str, str]:
        """The identities of the directory, which also say how far its locks reach: see
        :func:`~lockcfg.fleet.model.place.relation`."""
        return f"nonce:{self.round}/{self.nonce}", f"reach:{self.round}/{self.reach}"


class Scratch(Frozen):
    """One scratch file of a probe. ``seen`` tells for each pair of host ids whether the hosts see
    each other's locks. ``doubtful`` are the hosts of which one does not see the lock of the other,
    though that had said that it holds it, and of which no more is shown. ``paths`` is the path of
    the directory on each host."""

    __slots__ = ("doubtful", "nonce", "paths", "round", "seen", "taken")

    def __init__(
        self,
        round: str,
        nonce: str,
        taken: int,
        paths: Mapping[int, str],
        seen: Mapping[tuple[int, int], Shared],
        doubtful: Iterable[int] = (),
    ) -> None:
        self.round: Final = round
        self.nonce: Final = nonce
        self.taken: Final = taken
        self.paths: Final = dict(paths)
        self.seen: Final = dict(seen)
        self.doubtful: Final = frozenset(doubtful)

    def reach_of(self, host: int) -> Shared:
        """How far the locks of a host reach. A host that excludes no other and that no other
        excludes says nothing about the rest."""
        mine = {pair: seen for pair, seen in self.seen.items() if host in pair}
        if not mine or set(mine.values()) == {"no"}:
            return "no" if mine else "unknown"
        rest = {
            seen
            for pair, seen in mine.items()
            if not self._is_alone(pair[0] if pair[1] == host else pair[1])
        }
        return "no" if "no" in rest else "unknown" if "unknown" in rest else "yes"

    def _is_alone(self, host: int) -> bool:
        return {seen for pair, seen in self.seen.items() if host in pair} == {"no"}


class Probe(Frozen):
    """What a probe showed: the ``sights`` of each host, by its id and the path of the directory;
    the ``scratches``; and the ``errors`` of each host, by its id, as sentences. ``lacking`` tells
    for each round how many hosts have no evidence here."""

    __slots__ = ("errors", "lacking", "scratches", "sights")

    def __init__(
        self,
        sights: Mapping[int, Mapping[str, Sight]],
        scratches: Iterable[Scratch] = (),
        errors: Mapping[int, Iterable[str]] | None = None,
        lacking: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        self.sights: Final = dict(sights)
        self.scratches: Final = tuple(scratches)
        self.errors: Final = {host: tuple(each) for host, each in (errors or {}).items()}
        self.lacking: Final = dict(lacking or {})


def probe_of(told: Mapping[int, Mapping[str, Any]]) -> Probe:
    """What the evidence of all hosts shows together. ``told`` is the evidence of each host, by its
    id, as :func:`evidence_of` gives it."""
    by_file: dict[tuple[str, str], dict[int, tuple[str, Mapping[str, Any]]]] = {}
    errors: dict[int, list[str]] = {}
    rounds: dict[str, tuple[int, int]] = {}
    numbers = Counter((evidence["round"], evidence["number"]) for evidence in told.values())
    for host, evidence in told.items():
        if numbers[evidence["round"], evidence["number"]] > 1:
            errors[host] = ["another host has its number in the probe"]
            continue
        answered, hosts = rounds.get(evidence["round"], (0, 0))
        rounds[evidence["round"]] = (answered + 1, max(hosts, evidence["hosts"]))
        for path, each in evidence["at"].items():
            if "error" in each:
                errors.setdefault(host, []).append(f"{path}: {each['error']}")
            else:
                key = (evidence["round"], each["nonce"])
                by_file.setdefault(key, {}).setdefault(host, (path, each))
    scratches = [_scratch(*key, of_hosts, told) for key, of_hosts in sorted(by_file.items())]
    for scratch in scratches:
        for host, (path, _) in by_file[scratch.round, scratch.nonce].items():
            if host not in scratch.paths:
                why = f"{path}: more than {COMPARED} hosts have it, and not all were compared"
                errors.setdefault(host, []).append(why)
    by_key = {(scratch.round, scratch.nonce): scratch for scratch in scratches}
    reaches: dict[tuple[str, str, int], Shared] = {}
    sights: dict[int, dict[str, Sight]] = {}
    for host, evidence in told.items():
        for path, each in evidence["at"].items():
            if "error" in each or numbers[evidence["round"], evidence["number"]] > 1:
                continue
            scratch = by_key[evidence["round"], each["nonce"]]
            about = (scratch.round, scratch.nonce, host)
            if about not in reaches:
                reaches[about] = scratch.reach_of(host)
            sights.setdefault(host, {})[path] = Sight(
                *about[:2], reaches[about], doubtful=host in scratch.doubtful
            )
    lacking = {
        name: (hosts - answered, hosts)
        for name, (answered, hosts) in rounds.items()
        if hosts > answered
    }
    return Probe(sights, scratches, errors, lacking)


def _scratch(
    round: str,
    nonce: str,
    of_hosts: Mapping[int, tuple[str, Mapping[str, Any]]],
    told: Mapping[int, Mapping[str, Any]],
) -> Scratch:
    hosts = sorted(of_hosts, key=lambda host: told[host]["number"])[:COMPARED]
    numbers = {host: told[host]["number"] for host in hosts}
    locked = {host: frozenset(of_hosts[host][1]["locked"]) for host in hosts}
    marked = {host: frozenset(of_hosts[host][1]["marked"]) for host in hosts}
    seen: dict[tuple[int, int], Shared] = {}
    doubtful: set[int] = set()
    for at, one in enumerate(hosts):
        for other in hosts[at + 1 :]:
            mine, yours = numbers[one], numbers[other]
            sees = (yours in locked[one], mine in locked[other])
            if all(sees):
                seen[one, other] = "yes"
            elif not any(sees) and yours in marked[one] and mine in marked[other]:
                seen[one, other] = "no"
            else:
                seen[one, other] = "unknown"
                if yours in marked[one] - locked[one] or mine in marked[other] - locked[other]:
                    doubtful.update((one, other))
    return Scratch(
        round,
        nonce,
        max(told[host]["taken"] for host in hosts),
        {host: of_hosts[host][0] for host in hosts},
        seen,
        doubtful,
    )


def evidence_of(
    told: Mapping[str, Any], directories: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """The evidence of a snapshot, by the paths of its directories. A probe knows them by their real
    paths. ``directories`` are the directories of the snapshot."""
    found = {each["path"]: each for each in told["directories"]}
    at: dict[str, Any] = {}
    for each in told["directories"]:
        at[each["path"]] = {k: each[k] for k in ("error", "nonce", "locked", "marked") if k in each}
    for directory in directories:
        real = directory.get("resolved", directory["path"])
        if real in found:
            at[directory["path"]] = at[real]
    for path, each in at.items():
        if "error" in each:
            at[path] = {"error": each["error"]}
        elif len(each) < 3 or told["number"] not in each["marked"]:
            at[path] = {"error": "its own mark was not seen"}
    return {name: told[name] for name in ("round", "number", "hosts", "taken")} | {"at": at}


def with_sights(facts: Facts, sights: Mapping[str, Sight]) -> Facts:
    """The facts of a host, in which the results of a probe about its directories replace what was
    inferred."""

    def seen(directory: Directory) -> Directory:
        sight = sights.get(directory.path)
        return (
            directory if sight is None else directory.replace(place=_shown(directory.place, sight))
        )

    changes: dict[str, object] = {
        name: [seen(directory) for directory in getattr(facts, name)]
        for name in ("spaces", "spare", "storages", "leases")
    }
    changes["others"] = {
        driver: (settings, [seen(space) for space in spaces])
        for driver, (settings, spaces) in facts.others.items()
    }
    return facts.replace(**changes)


def _shown(place: Location, sight: Sight) -> Location:
    changes: dict[str, object] = {"ids": sorted({*place.ids, *sight.ids})}
    if sight.reach != "unknown":
        changes["carries"] = sight.reach
        seen = (
            "see each other's locks" if sight.reach == "yes" else "do not see the locks of others"
        )
        changes["why"] = f"{place.why}; a probe showed that hosts there {seen}"
    elif sight.doubtful and place.carries == "yes":
        changes["carries"] = "unknown"
        changes["why"] = (
            f"{place.why}; in a probe one of two hosts there did not see the lock of the other"
        )
    return place.replace(**changes)
