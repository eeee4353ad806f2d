"""Shows a change of a file as a diff."""

from __future__ import annotations

from lockcfg.conf.document import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockcfg.change.transaction import Change


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
    """A change as the lines of a unified diff, without line ends and without passwords."""
    from lockcfg.report.secrets import hide_secrets

    return [hide_secrets(line) for line in diff_of(change)]
