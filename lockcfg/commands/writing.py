"""What the commands that write have in common: decide, write or show, report."""

from __future__ import annotations

from lockcfg.change.effect import restart_advice
from lockcfg.errors import RefusedError
from lockcfg.report import terminal
from lockcfg.report.changes import diff_of, hidden_diff
from lockcfg.report.verdicts import VERDICTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from lockcfg.change.transaction import Transaction
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
