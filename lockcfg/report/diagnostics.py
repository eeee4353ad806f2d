"""What the reports of the linter share."""

from __future__ import annotations

import os

from lockcfg.report.untrusted import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.findings import Finding
    from lockcfg.lint.result import LintFinding, LintReplacement, LintResult


def relative(path: str, root: str) -> str:
    """``path`` relative to ``root``, or absolute if it is outside; normalised either way."""
    base, full = os.path.abspath(root), os.path.abspath(path)
    if full.startswith(
        "//"
    ):  # two leading slashes may mean something else by POSIX, but not on Linux
        full = full[1:]
    if full == base:
        return "."
    inside = base.rstrip("/") + "/"
    return full[len(inside) :] if full.startswith(inside) else full


def notes(result: LintResult, root: str) -> Iterator[str]:
    """The files that the run passed over, one sentence each."""
    return (f"{relative(path, root)}: {what}" for path, what in result.notes)


def counts(result: LintResult) -> tuple[int, int, int]:
    """How many findings count, how many of them have a safe fix, how many are suppressed."""
    findings = fixable = 0
    for diagnostic in result.diagnostics:
        if diagnostic.suppression is None:
            findings += 1
            fixable += diagnostic.fix is not None and diagnostic.fix.safety == "safe"
    return findings, fixable, len(result.diagnostics) - findings


def words(finding: Finding) -> str:
    """The message and, on a line of its own, the help."""
    return clean(f"{finding.message}\n{finding.help}" if finding.help else finding.message)


def reason(diagnostic: LintFinding) -> str:
    """Why a finding is suppressed. It comes from a comment, so a password may be in it."""
    from lockcfg.report.secrets import hide_secrets

    suppression = diagnostic.suppression
    return clean(hide_secrets(suppression.reason)) if suppression else ""


def replacements(diagnostic: LintFinding) -> tuple[LintReplacement, ...]:
    """The replacements of the fix, or none if they would show a password or are not valid text."""
    from lockcfg.report.secrets import hide_secrets

    fix, finding = diagnostic.fix, diagnostic.finding
    if fix is None or fix.secret or "_password" in (finding.key or ""):
        return ()
    texts = [replacement.text for replacement in fix.replacements]
    if any(clean(text) != text for text in texts):
        return ()
    if finding.place is not None:
        texts.append(finding.place.text)
    return () if any(hide_secrets(text) != text for text in texts) else fix.replacements
