"""``log_filters``: what the log is about."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.admin.changes.changeable import Changeable


def apply(changeable: Changeable, name: str, value: str) -> None:
    """Use other filters. Raises LogError, and then nothing has changed."""
    changeable.logging.set_filters(value)
