"""The result of a lint run, as the reporters get it: finished and sorted, with no I/O left."""

from __future__ import annotations

from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final, Literal

    from lockcfg.conf.files import Driver
    from lockcfg.findings import Finding
    from lockcfg.host.protection import Protection
    from lockcfg.rules.rule import RuleInfo

    #: safe: the file means the same to libvirt, or what its author plainly meant. unsafe: a person
    #: should check it.
    Safety = Literal["safe", "unsafe"]


class LintReplacement(Frozen):
    """Text that replaces a part of a file: a rule's replacement, in lines instead of bytes.

    Lines and columns count from 1, and columns in characters. The end is the first position that
    stays. An insertion ends where it starts.
    """

    __slots__ = ("column", "end_column", "end_line", "line", "text")

    def __init__(self, line: int, column: int, end_line: int, end_column: int, text: str) -> None:
        self.line: Final = line
        self.column: Final = column
        self.end_line: Final = end_line
        self.end_column: Final = end_column
        self.text: Final = text


class LintFix(Frozen):
    """How a finding can be fixed: ``description`` says it in words.

    ``made_for`` is a checksum of the text that the replacements are for, or None. A ``secret`` fix
    may replace a password, so no report shows it.
    """

    __slots__ = ("description", "made_for", "replacements", "safety", "secret")

    def __init__(
        self,
        safety: Safety,
        description: str,
        replacements: Sequence[LintReplacement],
        made_for: int | None = None,
        *,
        secret: bool = False,
    ) -> None:
        self.safety: Final = safety
        self.description: Final = description
        self.replacements: Final = tuple(replacements)
        self.made_for: Final = made_for
        self.secret: Final = secret


class Suppression(Frozen):
    """Why a finding does not count: a waiver in a comment (``inline``), in the settings
    (``settings``), or an entry of the baseline (``baseline``)."""

    __slots__ = ("kind", "reason")

    def __init__(self, kind: Literal["inline", "settings", "baseline"], reason: str) -> None:
        self.kind: Final = kind
        self.reason: Final = reason


class LintFinding(Frozen):
    """A finding of the linter.

    ``code`` is the rule's (``LK102``), ``finding.rule`` its slug. ``fingerprint`` is 64 hex
    digits that stay the same when lines move and differ between two findings of one file.
    ``suppression`` is None for a finding that counts.
    """

    __slots__ = ("code", "finding", "fingerprint", "fix", "suppression")

    def __init__(
        self,
        code: str,
        finding: Finding,
        fingerprint: str,
        fix: LintFix | None = None,
        suppression: Suppression | None = None,
    ) -> None:
        self.code: Final = code
        self.finding: Final = finding
        self.fingerprint: Final = fingerprint
        self.fix: Final = fix
        self.suppression: Final = suppression


class Mended(Frozen):
    """The verdict on a host after fixes have changed its files: its directory, the driver whose
    guests the verdict is about, and what all of the files together protect now."""

    __slots__ = ("directory", "driver", "protection")

    def __init__(self, directory: str, driver: Driver, protection: Protection) -> None:
        self.directory: Final = directory
        self.driver: Final = driver
        self.protection: Final = protection


class LintResult(Frozen):
    """A finished run.

    ``diagnostics`` are sorted by path, line, column and code. ``rules`` are the rules that ran, by
    code. ``notes`` pairs each path that the run passed over with what it is, and ``unreadable``
    each path that it could not read with the reason. ``files`` and ``hosts`` are counts. ``mended``
    are the hosts whose files fixes had changed before this run.
    """

    __slots__ = (
        "diagnostics",
        "files",
        "hosts",
        "mended",
        "notes",
        "rules",
        "unreadable",
        "version",
    )

    def __init__(
        self,
        diagnostics: Sequence[LintFinding],
        rules: Iterable[RuleInfo],
        *,
        files: int,
        hosts: int,
        notes: Sequence[tuple[str, str]] = (),
        unreadable: Sequence[tuple[str, str]] = (),
        version: str = "",
        mended: Sequence[Mended] = (),
    ) -> None:
        self.mended: Final = tuple(mended)
        self.diagnostics: Final = tuple(diagnostics)
        self.rules: Final = rules
        self.files: Final = files
        self.hosts: Final = hosts
        self.notes: Final = tuple(notes)
        self.unreadable: Final = tuple(unreadable)
        self.version: Final = version

    @property
    def counted(self) -> tuple[LintFinding, ...]:
        """The diagnostics that nothing suppresses."""
        return tuple(d for d in self.diagnostics if d.suppression is None)
