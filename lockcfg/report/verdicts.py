"""The verdicts on a host in one or two words, and how a terminal shows them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockcfg.host.protection import Level

#: By level: the words, and a style of :mod:`lockcfg.report.terminal`.
VERDICTS: Final[dict[Level, tuple[str, str]]] = {
    "refused": ("none, libvirt does not start", "error"),
    "none": ("none", "error"),
    "leases": ("leases only", "warning"),
    "this-host": ("this host", "warning"),
    "unknown": ("unknown", "warning"),
    "depends": ("depends on the disk", "warning"),
    "between-hosts": ("between hosts", "good"),
    "other": ("not judged", "warning"),
}
