"""What a run has read: distinct contents, the directories that have them, and what the rules found
in them. Only the directory is missing from such a finding."""

from __future__ import annotations

from zlib import crc32

from lockcfg.conf.files import READ
from lockcfg.errors import ConfSyntaxError
from lockcfg.frozen import Frozen
from lockcfg.lint.conceal import PasswordFilter
from lockcfg.lint.discover import recognise
from lockcfg.lint.waivers import waivers_in
from lockcfg.rules import syntax_finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

    from lockcfg.conf.document import Document
    from lockcfg.conf.guest import Guest
    from lockcfg.findings import Finding
    from lockcfg.lint.result import LintFix
    from lockcfg.lint.waivers import Waiver


class Content:
    """One distinct content of one kind of file, called ``name``.

    ``document`` is None if the content cannot be parsed, and ``syntax`` is then the finding.
    ``found`` is what the rules of a file found, by the mode of the file and whether it is tracked.
    Both keys are None unless a rule ``asks`` for them. ``passed_over`` says what a content is if it
    is not a configuration file. A ``rendered`` content is the output of a template; ``suffix`` is
    the end of the template's name.
    """

    __slots__ = (
        "asks",
        "checksum",
        "document",
        "found",
        "name",
        "passed_over",
        "passwords",
        "rendered",
        "suffix",
        "syntax",
        "text",
        "waivers",
        "waivers_by_line",
    )

    def __init__(self, name: str, text: bytes, *, rendered: bool = False, suffix: str = "") -> None:
        self.name = name
        self.rendered = rendered
        self.suffix = suffix
        self.text = text
        self.document: Document | None = None
        self.syntax: Finding | None = None
        self.checksum = crc32(text)
        self.waivers: list[Waiver] = []
        self.waivers_by_line: dict[int | None, list[Waiver]] = {}
        self.found: dict[tuple[int | None, bool | None], list[Ready]] = {}
        self.asks = False
        self.passed_over = ""
        try:
            found = recognise(text, READ[name], name)
        except ConfSyntaxError as error:
            self.syntax = syntax_finding(error)
        else:
            if isinstance(found, str):
                self.passed_over = found
                return
            self.document = found
            self.waivers = waivers_in(found)
        for waiver in self.waivers:
            line = None if waiver.whole_file else waiver.line
            self.waivers_by_line.setdefault(line, []).append(waiver)
        self.passwords = PasswordFilter(text, self.document)

    def waivers_of(self, line: int | None) -> Iterator[Waiver]:
        """The waivers that may cover a finding in ``line``; None stands for the whole file."""
        yield from self.waivers_by_line.get(None, ())
        if line is not None:
            yield from self.waivers_by_line.get(line, ())


class Surroundings(Frozen):
    """What is beside the files of a host and matters to a rule: the guests that are defined with
    ``<on_lockfailure>``, and whether the engine lockd has a file there."""

    __slots__ = ("guests", "has_engine")

    def __init__(self, guests: Sequence[Guest] = (), *, has_engine: bool = False) -> None:
        self.guests: Final = tuple(guests)
        self.has_engine: Final = has_engine


#: Nothing is beside them.
ALONE: Final = Surroundings()


class Combination:
    """One distinct set of contents of one directory, and what the rules of a host found in it.
    ``unread`` are the names of the other files there, which the run did not read. ``documents`` has
    the document of each content by its name, and None for the others. ``clean`` says that the run
    reports nothing about this set, in whichever directory it is."""

    __slots__ = ("clean", "contents", "documents", "found", "surroundings", "unread")

    def __init__(
        self,
        contents: tuple[Content, ...],
        unread: frozenset[str],
        surroundings: Surroundings,
        found: list[Ready],
    ) -> None:
        self.contents = contents
        self.unread = unread
        self.surroundings = surroundings
        self.documents: dict[str, Document | None] = dict.fromkeys(unread)
        self.documents.update((content.name, content.document) for content in contents)
        self.found = found
        self.clean = not found and not any(
            content.waivers or content.asks or any(content.found.values()) for content in contents
        )


class Survey:
    """What a run has read. ``directories`` maps the relative path of each directory to the number
    of its combination in ``combinations``. ``to_report`` has the directories with something to
    report, by their paths."""

    __slots__ = ("combinations", "directories", "files", "notes", "to_report", "unreadable")

    def __init__(self) -> None:
        self.files = 0
        self.directories: list[str] = []
        self.combinations: list[Combination] = []
        self.to_report: list[tuple[str, Combination]] = []
        self.notes: list[tuple[str, str]] = []
        self.unreadable: list[tuple[str, str]] = []

    def add(self, other: Survey) -> None:
        """Append what another process has read."""
        self.files += other.files
        self.directories += other.directories
        self.combinations += other.combinations
        self.to_report += other.to_report
        self.notes += other.notes
        self.unreadable += other.unreadable


class Ready:
    """A finding that is complete except for its directory: it has its severity, its fix in lines
    and columns, and the waiver of its file that covers it."""

    __slots__ = ("code", "finding", "fix", "name", "waiver")

    def __init__(
        self, code: str, name: str, finding: Finding, fix: LintFix | None, waiver: Waiver | None
    ) -> None:
        self.code = code
        self.name = name
        self.finding = finding
        self.fix = fix
        self.waiver = waiver
