"""The resources that a journal tells of, with names for their fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockd.survival.records.locks import Held

if TYPE_CHECKING:
    from lockd.survival.records.locks import Records


def taken(told: Records) -> list[Held]:
    """All of them, each owner as a tuple; none are left then."""
    found = map(Held._make, told.take_resources())
    return [each._replace(owners=[*map(tuple, each.owners)]) for each in found]
