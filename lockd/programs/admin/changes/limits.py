"""``SERVICE.nclients_max`` and so on: the limits of a service."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.admin.changes.changeable import Changeable


def apply(changeable: Changeable, name: str, value: int) -> None:
    """Use another limit, by its name in :attr:`Service.limits`."""
    service, _, limit = name.rpartition(".")
    changeable.services[service].limits[limit] = value
