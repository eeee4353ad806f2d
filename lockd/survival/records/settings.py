"""The records of the settings: those in force, and those that were changed at run time."""

from __future__ import annotations

from lockd.survival.records.encoding import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

    from lockd.survival.records.encoding import Replay


def in_force(settings: Mapping[str, Any]) -> str:
    """``settings``: the settings in force, by name."""
    return record("settings", settings)


def changed(name: str, value: int | str) -> str:
    """``changed``: a setting was changed at run time: its name, the value."""
    return record("changed", name, value)


class Records:
    """The settings in force, None if no record has them, and the changes at run time."""

    def __init__(self) -> None:
        self.in_force: dict[str, Any] | None = None
        self.changed: Final[dict[str, int | str]] = {}
        self.replays: Final[dict[str, Replay]] = {
            "settings": self._settings,
            "changed": self._changed,
        }

    def _settings(self, fields: list[Any]) -> None:
        self.in_force = fields[0]

    def _changed(self, fields: list[Any]) -> None:
        name, value = fields[:2]
        self.changed[name] = value
