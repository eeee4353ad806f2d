"""What the rules about ``auto_disk_leases = 0`` share."""

from __future__ import annotations

from lockcfg.rules.rule import Fix, Replacement, RuleFinding, at_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockcfg.conf.document import Entry
    from lockcfg.host.host import Configuration
    from lockcfg.rules.rule import Rule


def leases_off(configuration: Configuration) -> Entry | None:
    """The statement that keeps lockd from locking disks by itself; None if there is none, or if
    lockd is not the lock manager."""
    if configuration.lock_manager != "lockd" or configuration.auto_disk_leases:
        return None
    return configuration.documents["lockd"].get("auto_disk_leases")


def leases_off_finding(
    rule: Rule, configuration: Configuration, entry: Entry, message: str, *, help: str
) -> RuleFinding:
    """A finding about that statement, with the fix that locks every disk."""
    return RuleFinding(
        at_value(rule, configuration.documents["lockd"], entry, message, help=help),
        Fix("unsafe", "set auto_disk_leases = 1", Replacement(entry.value_span, "1")),
    )
