"""Compares hosts by settings: what decides the locking on each, and where a few differ from the
rest."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.fleet.comparison.groups import Cell, Group

#: A smaller group has no majority.
_FEWEST: Final = 5


def columns_of(cell: Cell) -> dict[str, str]:
    """What the matrix shows of hosts that are alike, by column."""
    facts = cell.facts
    shown = {key: _value(value) for key, value in facts.settings.items()}
    for space in facts.spaces:
        shown[f"{space.setting} on"] = (
            f"{space.place.shown} ({space.type})" if space.type else "not known"
        )
    shown["lvs"] = _there(facts.lvs)
    shown["scsi_id"] = _there(facts.scsi_id)
    shown["libvirt"] = facts.libvirt or "not known"
    shown["qemu"] = facts.qemu or "not known"
    return shown


def odd_columns(group: Group) -> dict[str, str]:
    """The columns in which at least 80 % of a group are alike, but not all hosts, with the value of
    the majority."""
    total = sum(len(cell.hosts) for cell in group.cells)
    if total < _FEWEST:
        return {}
    counts: dict[str, dict[str, int]] = {}
    for cell in group.cells:
        for column, value in columns_of(cell).items():
            of_column = counts.setdefault(column, {})
            of_column[value] = of_column.get(value, 0) + len(cell.hosts)
    usual: dict[str, str] = {}
    for column, of_column in counts.items():
        value, count = max(of_column.items(), key=lambda item: (item[1], item[0]))
        if count < total and count * 5 >= total * 4:
            usual[column] = value
    return usual


def odd_settings(group: Group) -> Iterator[tuple[str, str, list[str], str, int]]:
    """The settings in which few hosts differ from their group: the setting, their value, their
    names, the value of the others, and the number of all hosts."""
    usual = odd_columns(group)
    total = sum(len(cell.hosts) for cell in group.cells)
    found: dict[tuple[str, str], list[str]] = {}
    for cell in group.cells:
        for column, value in columns_of(cell).items():
            if column in usual and value != usual[column]:
                found.setdefault((column, value), []).extend(cell.hosts)
    for (column, value), hosts in sorted(found.items()):
        yield column, value, hosts, usual[column], total


def _value(value: object) -> str:
    return "not set" if value is None else str(value)


def _there(there: bool | None) -> str:
    return {True: "there", False: "missing", None: "not known"}[there]
