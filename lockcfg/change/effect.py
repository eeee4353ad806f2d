"""How changes of the files take effect, and what must not be restarted for them."""

from __future__ import annotations

from lockcfg.conf.settings import settings_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from lockcfg.change.transaction import Change, Transaction


def restart_advice(transaction: Transaction, changes: Sequence[Change]) -> list[str]:
    """What must be restarted for the changes to take effect, as sentences."""
    advice: list[str] = []
    if transaction.host.session and changes:
        return [
            "It takes effect when this user's libvirt daemon starts the next time.",
        ]
    kinds = {change.after.kind for change in changes}
    readers = restarts_of(changes)
    if readers:
        advice.append(
            f"It takes effect when {' or '.join(readers)}, whichever runs here, is"
            " restarted; guests keep running."
        )
        if any(kind.role == "lockd" for kind in kinds):
            advice.append(
                "Running guests keep the locks they have: restart with no guest running, on every"
                " host that shares their disks, before the new lockspaces can be relied on."
            )
    daemon = [change for change in changes if change.after.kind.role == "daemon"]
    if daemon:
        keys = {
            key
            for change in daemon
            for key in settings_of(change.after.kind)
            if change.before.get(key) != change.after.get(key)
        }
        advice.extend(_daemon_advice(keys))
    return advice


def restarts_of(changes: Sequence[Change]) -> list[str]:
    """The daemons that read the changed files when they start. Restart the one that runs. A lock
    daemon is never among them: its restart loses the locks of running guests."""
    kinds = {change.after.kind for change in changes}
    return sorted({reader for kind in kinds if kind.role != "daemon" for reader in kind.readers})


def _daemon_advice(keys: set[str]) -> list[str]:
    """How changes of the lock daemon's settings take effect without losing a lock."""
    advice: list[str] = []
    if any(key.startswith("log_") for key in keys):
        advice.append("The log settings take effect with: systemctl reload virtlockd")
    if "max_clients" in keys:
        advice.append(
            "max_clients takes effect at once with: virt-admin -c virtlockd:///system"
            " srv-clients-set virtlockd --max-clients N (a reload does not change it)"
        )
    advice.append("Never restart virtlockd while guests run: their locks would be lost.")
    return advice
