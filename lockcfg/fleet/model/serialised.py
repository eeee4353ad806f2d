"""Turns the facts of a host into JSON for the fleet store, and back."""

from __future__ import annotations

import json

from lockcfg.fleet.model.facts import Directory, Facts, Sanlock
from lockcfg.fleet.model.place import Location
from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final


def dumped(value: Any) -> str:
    """JSON of a value object of the model, or of anything else that JSON has: equal values are
    equal texts."""
    return _ENCODER.encode(value)


def _fields(value: Any) -> dict[str, Any]:
    """What the encoder does not know."""
    if not isinstance(value, Frozen):
        raise TypeError(f"{type(value).__name__} is no value object")
    return {name: getattr(value, name) for name in value.__slots__}


_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), sort_keys=True, default=_fields)


def facts_from(content: Mapping[str, Any]) -> Facts:
    """The facts that are ``content`` in JSON."""
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
