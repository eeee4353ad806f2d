"""The baseline: known findings that do not count, so that new findings stand out.

``--write-baseline`` makes this JSON file. Each finding has a line of its own, so a reviewer can
read a change of the file. A fingerprint identifies a finding, and stays the same when lines move.
"""

from __future__ import annotations

import json

from lockcfg.conf.load import read_bytes
from lockcfg.errors import ReadError
from lockcfg.printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from lockcfg.lint.result import LintFinding

_VERSION: Final = 1


class Baseline:
    """The entries of a baseline file, and which of them the run has met."""

    def __init__(self, path: str, entries: dict[str, dict[str, str]]) -> None:
        self.path = path
        self._entries = entries
        self._met: set[str] = set()

    @classmethod
    def load(cls, path: str) -> Baseline:
        """The baseline at ``path``. Raises :class:`ReadError`."""
        try:
            content = json.loads(read_bytes(path))
            if content["version"] != _VERSION:
                raise ReadError(path, "is a baseline of another version of lockcfg")
            entries = {
                str(entry["fingerprint"]): {
                    field: printable(str(entry[field]), 300)
                    for field in ("path", "code", "message")
                }
                for entry in content["findings"]
            }
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ReadError(
                path, "is not a baseline", help="make it again with --write-baseline"
            ) from error
        return cls(path, entries)

    def covers(self, fingerprint: str) -> bool:
        """Whether a finding is in the baseline; it then counts as met."""
        if fingerprint not in self._entries:
            return False
        self._met.add(fingerprint)
        return True

    def stale(self) -> list[dict[str, str]]:
        """The entries that no finding met, as ``path``, ``code`` and ``message``."""
        return [entry for key, entry in self._entries.items() if key not in self._met]


def render(diagnostics: Iterable[LintFinding], relative: dict[str, str]) -> str:
    """The text of a baseline with ``diagnostics``; ``relative`` gives the path to write for
    each."""
    lines = [
        json.dumps(
            {
                "fingerprint": d.fingerprint,
                "path": relative[d.finding.path],
                "code": d.code,
                "message": d.finding.message,
            }
        )
        for d in diagnostics
    ]
    inner = ",\n    ".join(lines)
    return f'{{\n  "version": {_VERSION},\n  "findings": [\n    {inner}\n  ]\n}}\n'
