"""``timeout``: when the daemon ends by itself."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.admin.changes.changeable import Changeable


def apply(changeable: Changeable, name: str, value: int) -> None:
    """End after so many seconds without clients and locks; 0 for never."""
    changeable.set_timeout(value)
