"""What several rules ask about lockspace directories."""

from __future__ import annotations

from lockcfg.fleet.model.facts import NOT_ROOT
from lockcfg.fleet.policy.host_ranges import fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

    from lockcfg.fleet.comparison.groups import Cell, Group
    from lockcfg.fleet.model.facts import Directory
    from lockcfg.fleet.model.place import Location


#: How many directories of a group are compared with each other at most.
_COMPARED: Final = 100

#: How many ranges of hosts a command in a help text has at most.
_NAMED: Final = 8

#: The messages with which the kernel refuses a write.
DENIED: Final = ("Permission denied", "Operation not permitted")


def probe_of(hosts: Sequence[str]) -> str:
    """The command that finds out what is unknown about hosts."""
    names = " ".join(f"--hosts '{each}'" for each in fold(hosts)[:_NAMED])
    more = " ..." if len(fold(hosts)) > _NAMED else ""
    return f"settle it: lockcfg probe {names}{more} --output snapshots"


def was_root(cell: Cell) -> bool:
    """Whether the lock daemon lacks a permission that the collector lacked."""
    return NOT_ROOT not in cell.facts.incomplete


def each_space(cell: Cell) -> Iterator[Directory]:
    """The lockspace directories in use, with the directories of <lease> elements. Directories on
    one mount and with one state appear once: a finding about a mount names the first of them."""
    seen: set[tuple[object, ...]] = set()
    leases = cell.facts.leases if cell.facts.settings["lock_manager"] == "lockd" else ()
    for space in (*cell.facts.spaces, *leases):
        about = (
            space.mounted.shown if space.mounted else space.path,
            space.type,
            space.state,
            space.error,
            space.probe,
            space.step,
            space.probe_error,
        )
        if about not in seen or not space.type:
            seen.add(about)
            yield space


def direct_images(cell: Cell) -> Iterator[Directory]:
    """The directories of images that are locked themselves, so that their own file system must
    carry the locks."""
    direct = {use.storage for use in cell.uses if use.rule == "direct" and use.kind == "image"}
    for storage in cell.facts.storages:
        if storage.path in direct:
            yield storage


def places_by_setting(
    group: Group, ambiguous: frozenset[tuple[str, str]] = frozenset()
) -> Iterator[tuple[str, dict[str, dict[str, list[str]]]]]:
    """The hosts of a group by lockspace setting, by path, and by the place behind the path, the
    place with the most hosts first. It leaves out places that are unknown or that only one host
    has, as other rules are about them."""
    found: dict[str, dict[str, dict[str, list[str]]]] = {}
    known: dict[str, Location] = {}
    for cell in group.cells:
        for space in cell.facts.spaces:
            place = space.place
            if not place.system:
                continue
            key = place.shown
            if (place.system, place.path) in ambiguous:
                if place.inode is None:
                    continue
                key += f" (inode {place.inode})"
            if key not in known:
                # A place counts as another one only if that is shown; another name is not enough.
                for name, each in list(known.items())[:_COMPARED]:
                    if group.relation_of(each, place) != "different":
                        key = name
                        break
                known.setdefault(key, place)
            by_path = found.setdefault(space.setting, {})
            by_path.setdefault(space.path, {}).setdefault(key, []).extend(cell.hosts)
    for setting, by_path in sorted(found.items()):
        ordered = {
            path: dict(sorted(places.items(), key=lambda item: (-len(item[1]), item[0])))
            for path, places in by_path.items()
        }
        yield (
            setting,
            dict(
                sorted(
                    ordered.items(),
                    key=lambda item: (-sum(map(len, item[1].values())), item[0]),
                )
            ),
        )


def minority(ordered: Sequence[Sequence[str]]) -> list[str]:
    """The hosts that differ from the majority. ``ordered`` has the sets of hosts that are alike,
    the largest first. If the first two are equally large there is no majority, and all hosts are
    returned."""
    tie = len(ordered) > 1 and len(ordered[0]) == len(ordered[1])
    return [host for hosts in ordered[0 if tie else 1 :] for host in hosts]
