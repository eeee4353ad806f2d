"""``log_outputs``: where the log goes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.admin.changes.changeable import Changeable


def apply(changeable: Changeable, name: str, value: str) -> None:
    """Use other outputs, the default one where ``value`` names none. Raises LogError, and then
    nothing has changed."""
    changeable.logging.set_outputs(value)
