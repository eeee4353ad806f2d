"""Turns the facts of a host into JSON for the fleet store, and back."""

from __future__ import annotations

from lockcfg.fleet.model.facts import Directory, Facts, Sanlock
from lockcfg.fleet.model.place import Location
from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def as_json(value: Any) -> Any:
    """A value object of the model, or a part of it, as JSON."""
    if isinstance(value, Frozen):
        return {name: as_json(getattr(value, name)) for name in value.__slots__}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    return value


def facts_from(content: Mapping[str, Any]) -> Facts:
    """The facts that :func:`as_json` has turned into ``content``."""
    fields = dict(content)
    for name in ("spaces", "spare", "storages", "leases"):
        fields[name] = [_directory_from(each) for each in content[name]]
    for name in ("refused", "ignored"):
        fields[name] = [tuple(each) for each in content[name]]
    if (told := content.get("sanlock")) is not None:
        fields["sanlock"] = Sanlock(**{**told, "directory": _directory_from(told["directory"])})
    fields["others"] = {
        driver: (settings, [_directory_from(each) for each in spaces])
        for driver, (settings, spaces) in content.get("others", {}).items()
    }
    return Facts(**fields)


def _directory_from(content: Mapping[str, Any]) -> Directory:
    fields = dict(content)
    fields["place"] = Location(**content["place"])
    if content["mounted"] is not None:
        fields["mounted"] = Location(**content["mounted"])
    return Directory(**fields)
