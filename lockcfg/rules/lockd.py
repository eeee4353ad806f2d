"""What several rules ask about lockd and the setting that turns it on."""

from __future__ import annotations

from lockcfg.conf.settings import settings_of
from lockcfg.nearest import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockcfg.host.host import Configuration


def lockd_is_configured(configuration: Configuration) -> bool:
    """Whether lockd's own file sets anything that lockd knows."""
    document = configuration.documents["lockd"]
    known = settings_of(document.kind)
    return any(entry.key in known for entry in document.entries)


def is_misplaced(configuration: Configuration) -> bool:
    """Whether ``lock_manager`` is set, but misspelt or in the wrong file, so that LK102 or LK103
    says what to do."""
    for role, document in configuration.documents.items():
        known = settings_of(document.kind)
        for entry in document.entries:
            if entry.key in known:
                continue
            if entry.key == "lock_manager":
                return True
            # A file may have thousands of unknown settings, and few are like this one at all.
            alike = role == "driver" and nearest(entry.key, ["lock_manager"])
            if alike and nearest(entry.key, known) == "lock_manager":
                return True
    return False
