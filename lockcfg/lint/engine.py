"""The loop: find the files, look at each distinct content once, say it for each file.

Most files of a fleet are the same. A content is parsed and given to the rules of one file once;
so is each distinct set of contents that stands in one directory, and the rules of a host. What
was found is kept with the file's bare name for a path and is given its directory for each host.
So time and memory grow with what is different, and with the findings.
"""

from __future__ import annotations

import datetime
import hashlib
import os

from lockcfg.conf.document import Document
from lockcfg.conf.files import DRIVERS, KINDS, kinds_of
from lockcfg.conf.load import parse, read_bytes
from lockcfg.errors import ConfSyntaxError, ReadError
from lockcfg.findings import Finding, Place
from lockcfg.host.host import Configuration
from lockcfg.lint.baseline import Baseline
from lockcfg.lint.discover import discover, is_template
from lockcfg.lint.result import Diagnostic, Fix, LintResult, Replacement, RuleInfo, Suppression
from lockcfg.lint.settings import known_rule, matches, means
from lockcfg.lint.tracked import Tracked
from lockcfg.lint.waivers import waivers_in
from lockcfg.rules import TABLE, rule_module, syntax_finding
from lockcfg.rules.rule import FileSubject, Found, HostFiles, HostSubject, RepositorySubject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final

    from lockcfg.conf.files import FileKind
    from lockcfg.findings import Severity
    from lockcfg.lint.discover import Directory
    from lockcfg.lint.settings import Settings
    from lockcfg.lint.waivers import Waiver
    from lockcfg.rules.rule import Fix as RuleFix
    from lockcfg.rules.rule import Rule

#: Where the manual of a rule is, in the project's documentation.
RULE_URL: Final = "docs/rules/{code}.md"

#: How many contents of one kind are compared before a file is looked up by its hash.
_RECENT: Final = 4


class _Content:
    """One distinct content of one kind of file.

    ``document`` is None where it cannot be parsed, and ``syntax`` then the finding. ``found``
    is what the rules of a file found, by what was known of the file besides.
    """

    __slots__ = (
        "document",
        "found",
        "has_secrets",
        "number",
        "syntax",
        "template",
        "text",
        "waivers",
    )

    def __init__(self, kind: FileKind, text: bytes, number: int) -> None:
        self.number = number
        self.text = text
        self.document: Document | None = None
        self.syntax: Finding | None = None
        self.waivers: list[Waiver] = []
        self.found: dict[tuple[int | None, bool | None], list[_Ready]] = {}
        self.has_secrets = b"_password" in text
        self.template = is_template(text)
        if self.template:
            return
        try:
            self.document = parse(text, kind, kind.name)
            self.waivers = waivers_in(self.document)
        except ConfSyntaxError as error:
            self.syntax = syntax_finding(error)


class _Ready:
    """A finding that lacks nothing but its directory: severity set, fix in lines and columns,
    and the waiver of its file that covers it."""

    __slots__ = ("code", "finding", "fix", "name", "waiver")

    def __init__(
        self, code: str, name: str, finding: Finding, fix: Fix | None, waiver: Waiver | None
    ) -> None:
        self.code = code
        self.name = name
        self.finding = finding
        self.fix = fix
        self.waiver = waiver


class Linter:
    """One run. ``today`` decides which waivers have expired; ``progress`` is told now and then
    how many files were looked at."""

    def __init__(
        self,
        settings: Settings,
        *,
        version: str = "",
        today: datetime.date | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self._settings = settings
        self._version = version
        self._today = today or datetime.date.today()
        self._progress = progress
        modules = [rule_module(name) for name in TABLE]
        self._rules: dict[str, Rule] = {module.RULE.name: module.RULE for module in modules}
        self._infos = [
            RuleInfo(
                rule.code,
                rule.name,
                self._severity(rule.code, rule.name, rule.severity),
                (module.__doc__ or "").partition("\n")[0],
                RULE_URL.format(code=rule.code),
            )
            for module in modules
            if self._runs(rule := module.RULE)
        ]
        self._running = [module for module in modules if self._runs(module.RULE)]
        self._recent: dict[str, list[_Content]] = {}
        self._by_text: dict[str, dict[bytes, _Content]] = {}
        self._hosts: dict[tuple[int, ...], list[_Ready]] = {}
        self._tracked = Tracked(settings.root)
        self._baseline = Baseline.load(settings.baseline) if settings.baseline else None
        self._diagnostics: list[Diagnostic] = []
        self._fingerprints: dict[str, int] = {}
        self._unreadable: list[tuple[str, str]] = []
        self._notes: list[str] = []
        self._files = 0
        #: Waivers in comments, by file, and which of them were needed.
        self._inline: dict[str, tuple[_Content, set[Waiver]]] = {}
        self._settings_waivers_needed: set[int] = set()

    def run(self, paths: Sequence[str]) -> LintResult:
        """Lint what is at and below ``paths``."""
        hosts: list[tuple[str, dict[FileKind, _Content]]] = []
        for directory in discover(paths, self._settings.exclude, self._unreadable):
            for name in directory.templates:
                path = os.path.join(directory.path, name)
                self._notes.append(f"{self._settings.relative(path)}: a template, passed over")
            contents = self._read(directory)
            if contents:
                self._look_at(directory.path, contents)
                hosts.append((directory.path, contents))
        self._look_at_all(hosts)
        self._look_at_waivers(all_files=True)
        return self._result(len(hosts))

    def run_text(self, text: bytes, path: str, kind: FileKind) -> LintResult:
        """Lint ``text`` as if it were the file at ``path``, alone."""
        self._files = 1
        content = self._content(kind, text)
        if content.template:
            self._notes.append(f"{self._settings.relative(path)}: a template, passed over")
        else:
            self._look_at_file(path, content)
        self._look_at_waivers(all_files=False)
        return self._result(0)

    def _runs(self, rule: Rule) -> bool:
        names = self._settings.select
        if names and not any(means(name, rule.code, rule.name) for name in names):
            return False
        return not any(means(name, rule.code, rule.name) for name in self._settings.ignore)

    def _severity(self, code: str, name: str, own: Severity) -> Severity:
        for each, severity in self._settings.severity.items():
            if means(each, code, name):
                return severity
        return own

    # Contents

    def _read(self, directory: Directory) -> dict[FileKind, _Content]:
        contents: dict[FileKind, _Content] = {}
        for kind in directory.files:
            path = os.path.join(directory.path, kind.name)
            try:
                text = read_bytes(path)
            except ReadError as error:
                self._unreadable.append((self._settings.relative(path), error.reason))
                continue
            self._files += 1
            if self._progress is not None and not self._files % 500:
                self._progress(self._files)
            content = self._content(kind, text)
            if content.template:
                self._notes.append(f"{self._settings.relative(path)}: a template, passed over")
            else:
                contents[kind] = content
        return contents

    def _content(self, kind: FileKind, text: bytes) -> _Content:
        """The content of a file: the same object for the same bytes."""
        recent = self._recent.setdefault(kind.name, [])
        # Most files are what one of the last ones was, and to compare is faster than to hash.
        for content in recent:
            if content.text == text:
                return content
        known = self._by_text.setdefault(kind.name, {})
        found = known.get(text)
        if found is None:
            found = known[text] = _Content(kind, text, len(known))
        if len(recent) < _RECENT:
            recent.append(found)
        return found

    # Rules

    def _look_at(self, directory: str, contents: dict[FileKind, _Content]) -> None:
        for kind, content in contents.items():
            self._look_at_file(os.path.join(directory, kind.name), content)
        for driver in DRIVERS:
            if KINDS[f"{driver}.conf"] not in contents:
                continue
            kinds = kinds_of(driver)
            of_host = [contents.get(kind) for kind in kinds]
            if any(content is not None and content.document is None for content in of_host):
                continue  # what cannot be parsed has its finding already
            if driver == "libxl" and _is_bystander(contents):
                continue
            key = (len(driver), *(-1 if each is None else each.number for each in of_host))
            found = self._hosts.get(key)
            if found is None:
                documents = {
                    kind.role: content.document
                    if content is not None and content.document is not None
                    else Document(kind, kind.name, None, ())
                    for kind, content in zip(kinds, of_host, strict=True)
                }
                subject = HostSubject("", Configuration(driver, documents))
                by_name = {kind.name: content for kind, content in contents.items()}
                found = self._hosts[key] = self._ready("host", subject, by_name)
            for ready in found:
                self._say(ready, os.path.join(directory, ready.finding.path))

    def _look_at_file(self, path: str, content: _Content) -> None:
        if content.waivers:
            self._inline[path] = (content, set())
        known: tuple[int | None, bool | None] = (None, None)
        if content.has_secrets:
            known = (_mode(path), self._tracked.has(path))
        found = content.found.get(known)
        if found is None:
            found = content.found[known] = self._found_in(content, *known)
        for ready in found:
            self._say(ready, path)

    def _found_in(self, content: _Content, mode: int | None, tracked: bool | None) -> list[_Ready]:
        if content.document is None:
            assert content.syntax is not None
            rule = self._rules[content.syntax.rule]
            if not self._runs(rule):
                return []
            return [self._make_ready(rule, Found(content.syntax), content)]
        subject = FileSubject(content.document, mode=mode, tracked=tracked)
        return self._ready("file", subject, {content.document.kind.name: content})

    def _ready(self, scope: str, subject: Any, contents: dict[str, _Content]) -> list[_Ready]:
        """What the rules of ``scope`` find in ``subject``, whose files have ``contents``."""
        return [
            self._make_ready(module.RULE, found, contents.get(os.path.basename(found.finding.path)))
            for module in self._running
            if module.RULE.scope == scope
            for found in module.check(subject, self._settings.options)
        ]

    def _make_ready(self, rule: Rule, found: Found, content: _Content | None) -> _Ready:
        finding = found.finding
        severity = self._severity(rule.code, rule.name, finding.severity)
        if severity != finding.severity:
            finding = _with(finding, severity=severity)
        line = finding.place.line if finding.place else None
        waiver = None
        if content is not None:
            for each in content.waivers:
                if each.covers(line) and any(
                    means(name, rule.code, rule.name) for name in each.rules
                ):
                    waiver = each
                    break
        fix = None
        if found.fix is not None and content is not None:
            fix = _in_lines(found.fix, content.text)
        return _Ready(rule.code, rule.name, finding, fix, waiver)

    def _look_at_all(self, hosts: Sequence[tuple[str, dict[FileKind, _Content]]]) -> None:
        modules = [module for module in self._running if module.RULE.scope == "repository"]
        if not modules:
            return
        subject = RepositorySubject(
            tuple(
                HostFiles(
                    self._settings.relative(directory),
                    {kind.name: content.document for kind, content in contents.items()},
                )
                for directory, contents in hosts
            )
        )
        contents_of = {
            os.path.join(self._settings.relative(directory), kind.name): (
                os.path.join(directory, kind.name),
                content,
            )
            for directory, contents in hosts
            for kind, content in contents.items()
            if content.waivers
        }
        for module in modules:
            for found in module.check(subject, self._settings.options):
                path, content = contents_of.get(found.finding.path, (None, None))
                if path is None:
                    path = os.path.join(self._settings.root, found.finding.path)
                self._say(self._make_ready(module.RULE, found, content), path)

    # Saying it

    def _say(self, ready: _Ready, path: str) -> None:
        """Add the finding for the file at ``path``."""
        relative = self._settings.relative(path)
        for glob, rules in self._settings.per_path:
            if matches(relative, glob) and any(
                means(name, ready.code, ready.name) for name in rules
            ):
                return
        suppression = self._waived(ready, path, relative)
        fingerprint = self._fingerprint(ready, relative)
        if suppression is None and self._baseline and self._baseline.covers(fingerprint):
            suppression = Suppression("baseline", "in the baseline")
        self._diagnostics.append(
            Diagnostic(
                ready.code,
                _with(ready.finding, path=path),
                fingerprint,
                ready.fix,
                suppression,
            )
        )

    def _waived(self, ready: _Ready, path: str, relative: str) -> Suppression | None:
        waiver = ready.waiver
        if waiver is not None:
            self._inline[path][1].add(waiver)
            if waiver.until is None or waiver.until >= self._today:
                return Suppression("inline", waiver.reason)
        for number, each in enumerate(self._settings.waivers):
            if means(each.rule, ready.code, ready.name) and matches(relative, each.path):
                self._settings_waivers_needed.add(number)
                if each.until is None or each.until >= self._today:
                    return Suppression("settings", each.reason)
        return None

    def _fingerprint(self, ready: _Ready, relative: str) -> str:
        finding = ready.finding
        line = finding.place.text.strip() if finding.place else ""
        parts = (relative, ready.code, finding.key or "", line)
        basis = "\0".join(parts).encode("utf-8", "surrogateescape")
        first = hashlib.sha256(basis).hexdigest()
        number = self._fingerprints.get(first, 0)
        self._fingerprints[first] = number + 1
        if not number:
            return first
        return hashlib.sha256(basis + b"\0%d" % number).hexdigest()

    # Waivers and the baseline themselves

    def _look_at_waivers(self, *, all_files: bool) -> None:
        for path, (content, needed) in list(self._inline.items()):
            document = content.document
            assert document is not None
            for waiver in content.waivers:
                place = document.place(waiver.span)
                place = Place(path, place.line, place.column, place.text, place.length)
                if not waiver.reason:
                    self._run_finding("waiver-without-reason", path, place=place)
                for name in waiver.rules:
                    if not known_rule(name):
                        self._run_finding("unknown-rule-in-waiver", path, place=place, name=name)
                self._one_waiver(waiver.rules, waiver.until, waiver in needed, path, place)
        if not all_files or (self._settings.path is None and self._baseline is None):
            return
        for number, each in enumerate(self._settings.waivers):
            assert self._settings.path is not None
            needed_it = number in self._settings_waivers_needed
            self._one_waiver((each.rule,), each.until, needed_it, self._settings.path, None)
        if self._baseline is not None:
            for entry in self._baseline.stale():
                self._run_finding("baseline-stale", self._baseline.path, entry=entry)

    def _one_waiver(
        self,
        rules: tuple[str, ...],
        until: datetime.date | None,
        needed: bool,
        path: str,
        place: Place | None,
    ) -> None:
        if not needed:
            running = any(
                means(name, module.RULE.code, module.RULE.name)
                for name in rules
                for module in self._running
            )
            if running:
                self._run_finding("waiver-unneeded", path, place=place, rules=rules)
        elif until is not None and until < self._today:
            self._run_finding("waiver-expired", path, place=place, rules=rules, until=until)

    def _run_finding(self, slug: str, path: str, **arguments: Any) -> None:
        """Add a finding of one of the rules about the run itself, if that rule runs."""
        rule = self._rules[slug]
        if not self._runs(rule):
            return
        module: Any = rule_module(f"{rule.code.lower()}_{slug.replace('-', '_')}")
        finding = module.finding(path=path, **arguments)
        self._say(self._make_ready(rule, Found(finding), None), path)

    def _result(self, hosts: int) -> LintResult:
        self._diagnostics.sort(key=_order)
        return LintResult(
            self._diagnostics,
            self._infos,
            files=self._files,
            hosts=hosts,
            notes=sorted(self._notes),
            unreadable=sorted(self._unreadable),
            version=self._version,
        )


def _is_bystander(contents: dict[FileKind, _Content]) -> bool:
    """Whether the Xen driver's files are just those that every package of libvirt installs:
    nothing is set in them, and QEMU's are there."""
    if KINDS["qemu.conf"] not in contents:
        return False
    return not any(
        content.document is not None and content.document.entries
        for kind, content in contents.items()
        if kind.drivers == ("libxl",)
    )


def _order(diagnostic: Diagnostic) -> tuple[str, int, int, str, str]:
    finding = diagnostic.finding
    place = finding.place
    line, column = (place.line, place.column) if place else (0, 0)
    return finding.path, line, column, diagnostic.code, finding.message


def _with(
    finding: Finding, *, path: str | None = None, severity: Severity | None = None
) -> Finding:
    """A copy of ``finding`` for another path or severity."""
    place = finding.place
    if place is not None and path is not None:
        place = Place(path, place.line, place.column, place.text, place.length)
    return Finding(
        finding.rule,
        severity or finding.severity,
        finding.message,
        path=path or finding.path,
        place=place,
        key=finding.key,
        help=finding.help,
    )


def _in_lines(fix: RuleFix, text: bytes) -> Fix:
    """A rule's fix, by bytes, as one by lines and columns."""
    return Fix(
        fix.safety,
        fix.description,
        [
            Replacement(
                *_position(text, each.span.start), *_position(text, each.span.end), each.text
            )
            for each in fix.replacements
        ],
    )


def _position(text: bytes, offset: int) -> tuple[int, int]:
    start = text.rfind(b"\n", 0, offset) + 1
    column = len(text[start:offset].decode("utf-8", "surrogateescape")) + 1
    return text.count(b"\n", 0, offset) + 1, column


def _mode(path: str) -> int | None:
    try:
        return os.stat(path).st_mode & 0o777
    except OSError:
        return None
