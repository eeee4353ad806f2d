"""Workflow commands of GitHub Actions, which become annotations. With an earlier report, they show
what has changed since; without one, they show every finding that counts."""

from __future__ import annotations

from lockcfg.fleet.policy.host_ranges import shortened
from lockcfg.report.commands import COMMANDS, command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final, TextIO

    from lockcfg.fleet.comparison.result import AuditResult, Since

#: How many ranges of hosts an annotation names.
_MOST: Final = 10


def write(result: AuditResult, stream: TextIO) -> None:
    """See :mod:`lockcfg.report.audit`."""
    if result.since is not None:
        _write_since(result.since, stream)
    else:
        for finding in result.counted:
            properties = {}
            for path, line in finding.places.values():
                properties = {"file": path, **({"line": str(line)} if line else {})}
                break
            properties["title"] = f"{finding.code} {finding.rule}"
            said = _of(finding.hosts) + finding.message
            words = "\n".join([said, *([finding.help] if finding.help else [])])
            stream.write(command(COMMANDS[finding.severity], properties, words))
    stream.write(command("notice", {"title": "lockcfg audit"}, result.verdict.text))


def _write_since(since: Since, stream: TextIO) -> None:
    for change in since.worse:
        words = f"this change is for the worse: {_of(change.hosts)}{change.text}"
        stream.write(command(COMMANDS[change.severity], {"title": "lock domains"}, words))
    for change in since.better:
        words = f"this change is for the better: {_of(change.hosts)}{change.text}"
        stream.write(command("notice", {"title": "lock domains"}, words))
    for what, hosts in (("adds", since.come), ("removes", since.gone)):
        if hosts:
            words = f"this change {what} {_of(hosts).removesuffix(': ')}"
            stream.write(command("notice", {"title": "lock domains"}, words))


def _of(hosts: Iterable[str]) -> str:
    """The hosts, to precede the message about them."""
    shown = shortened(hosts, _MOST)
    return f"{shown}: " if shown else ""
