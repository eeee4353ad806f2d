"""What the commands that write have in common: decide, write or show, report."""

from __future__ import annotations

from lockcfg.conf.document import decode
from lockcfg.conf.settings import settings_of
from lockcfg.errors import RefusedError
from lockcfg.report import terminal
from lockcfg.report.verdicts import VERDICTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from lockcfg.change.transaction import Change, Transaction
    from lockcfg.findings import Finding


def finish(
    transaction: Transaction, arguments: argparse.Namespace, extra: Sequence[Finding] = ()
) -> int:
    """Write ``transaction``, or with ``--dry-run`` or ``--diff`` show it; report what happened.

    ``extra`` are warnings of the command's own. Returns the exit status.
    """
    warnings = [*transaction.warnings(), *extra]
    dry = arguments.dry_run or arguments.diff
    if dry:
        changes = transaction.changes
        objections = transaction.objections()
        if objections and not arguments.force:
            raise RefusedError("this would be refused", objections, help="--force writes it anyway")
    else:
        objections = transaction.objections() if arguments.force else []
        changes = transaction.commit(force=arguments.force, backup=arguments.backup)
    warnings = [*objections, *warnings]
    advice = restart_advice(transaction, changes)
    protection = transaction.protection()
    if arguments.json:
        from lockcfg.report import jsonreport

        jsonreport.write(
            {
                "changed": bool(changes),
                "written": bool(changes) and not dry,
                "files": [
                    {"path": change.after.path, "diff": "\n".join(hidden_diff(change))}
                    for change in changes
                ],
                "warnings": [jsonreport.finding(warning) for warning in warnings],
                "advice": advice,
                "protection": jsonreport.protection(protection),
            }
        )
        return 0
    out, err = terminal.stdout(), terminal.stderr()
    for warning in warnings:
        err.finding(warning)
    if arguments.diff:
        for change in changes:
            out.diff(diff_of(change))
        return 0
    if not changes:
        out.line("nothing to change")
    for change in changes:
        verb = "would change" if dry else "changed"
        out.line(f"{verb} {terminal.escape(change.after.path)}")
    for line in advice:
        out.line(f"  {line}")
    word, style = VERDICTS[protection.level]
    what = "Protection would be" if dry and changes else "Protection"
    out.line(f"{what}: {out.style(word, style)}")
    out.line(f"  {terminal.escape(protection.summary)}")
    return 0


def diff_of(change: Change) -> list[str]:
    """A change as the lines of a unified diff, without line ends."""
    from difflib import unified_diff

    before, after = change.before, change.after
    return list(
        unified_diff(
            decode(before.text or b"").splitlines(),
            decode(after.text or b"").splitlines(),
            before.path if before.exists else "/dev/null",
            after.path,
            lineterm="",
        )
    )


def hidden_diff(change: Change) -> list[str]:
    """The same without passwords."""
    from lockcfg.report.secrets import hide_secrets

    return [hide_secrets(line) for line in diff_of(change)]


def restart_advice(transaction: Transaction, changes: Sequence[Change]) -> list[str]:
    """What must be restarted for the changes to take effect, as sentences."""
    advice: list[str] = []
    if transaction.host.session and changes:
        return [
            "It takes effect when this user's libvirt daemon starts the next time.",
        ]
    kinds = {change.after.kind for change in changes}
    readers = dict.fromkeys(
        reader for kind in kinds if kind.role != "daemon" for reader in kind.readers
    )
    if readers:
        advice.append(
            f"It takes effect when {' or '.join(sorted(readers))}, whichever runs here, is"
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
