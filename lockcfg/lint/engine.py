"""The loop: find the files, look at each distinct content once, say it for each file.

Most files of a fleet are the same. A content is parsed and given to the rules of one file once;
so is each distinct set of contents that stands in one directory, and the rules of a host. What
was found is kept with the file's bare name for a path and is given its directory for each host.
So time and memory grow with what is different, and with the findings.

A run reads first, in several processes where there is much to read, and says then, in one and
in the order of the walk: so a report does not depend on who read what.
"""

from __future__ import annotations

import datetime
import os
from fnmatch import fnmatch
from itertools import pairwise
from zlib import crc32

from lockcfg.conf.document import Document, Span
from lockcfg.conf.files import DRIVERS, KINDS, FileKind, kind_named, kinds_of
from lockcfg.conf.load import parse, read_bytes
from lockcfg.errors import ConfSyntaxError, LockcfgError, ReadError
from lockcfg.findings import Finding, Place
from lockcfg.host.host import Configuration
from lockcfg.lint.baseline import Baseline
from lockcfg.lint.conceal import Veil
from lockcfg.lint.discover import discover, is_file_of_ours, note_on, passed_over, together
from lockcfg.lint.result import Diagnostic, Fix, LintResult, Replacement, Suppression
from lockcfg.lint.settings import known_rule, matches, means
from lockcfg.lint.tracked import Tracked
from lockcfg.lint.waivers import waivers_in
from lockcfg.rules import TABLE, rule_module, syntax_finding
from lockcfg.rules.rule import (
    FileSubject,
    Found,
    HostFiles,
    HostSubject,
    RepositorySubject,
    RuleInfo,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from typing import Any, Final, NoReturn

    from lockcfg.conf.files import Role
    from lockcfg.findings import Severity
    from lockcfg.lint.discover import Directory
    from lockcfg.lint.settings import Settings
    from lockcfg.lint.waivers import Waiver
    from lockcfg.rules import RuleModule
    from lockcfg.rules.rule import Fix as RuleFix
    from lockcfg.rules.rule import Rule, Scope

#: Where the manual of a rule is, in the project's documentation.
RULE_URL: Final = "docs/rules/{code}.md"

#: How many contents of one kind are compared before a file is looked up by its hash.
_RECENT: Final = 4

#: How many directories, read or still to be walked, make it pay to share them among processes.
_MANY: Final = 500

#: The most processes, and the most jobs: what is to be walked is dealt out in so many parts.
_PROCESSES: Final = 4
_JOBS: Final = 250


try:  # Through hashlib it loads OpenSSL, which takes a third of the time of a short run.
    from _sha2 import sha256 as _sha256  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from _sha256 import sha256 as _sha256  # type: ignore[import-not-found, unused-ignore]


class _Content:
    """One distinct content of one kind of file, called ``name``.

    ``document`` is None where it cannot be parsed, and ``syntax`` then the finding. ``found``
    is what the rules of a file found, by the mode of the file and whether it is tracked: these
    matter to a content that is ``secret`` only, and of the others are not asked for.
    ``passed_over`` says what a content is that is no configuration file.
    """

    __slots__ = (
        "checksum",
        "document",
        "found",
        "name",
        "passed_over",
        "secret",
        "syntax",
        "text",
        "veil",
        "waivers",
        "waivers_by_line",
    )

    def __init__(self, name: str, text: bytes) -> None:
        self.name = name
        self.text = text
        self.document: Document | None = None
        self.syntax: Finding | None = None
        self.checksum = crc32(text)
        self.waivers: list[Waiver] = []
        self.waivers_by_line: dict[int | None, list[Waiver]] = {}
        self.found: dict[tuple[int | None, bool | None], list[_Ready]] = {}
        self.secret = False
        self.passed_over = passed_over(text, KINDS[name])
        if self.passed_over:
            return
        try:
            self.document = parse(text, KINDS[name], name)
            self.waivers = waivers_in(self.document)
        except ConfSyntaxError as error:
            self.syntax = syntax_finding(error)
        for waiver in self.waivers:
            line = None if waiver.whole_file else waiver.line
            self.waivers_by_line.setdefault(line, []).append(waiver)
        self.veil = Veil(text, self.document)

    def waivers_of(self, line: int | None) -> Iterator[Waiver]:
        """The waivers that may be about a finding in ``line``; None is the whole file."""
        yield from self.waivers_by_line.get(None, ())
        if line is not None:
            yield from self.waivers_by_line.get(line, ())


class _Combination:
    """One distinct set of contents that stands in one directory, and what the rules of a host
    found in it. ``unread`` are the names of the files that are there besides, and were not read.
    ``documents`` are those of the contents, by name, and None of the others; ``silent`` whether
    there is nothing to say wherever it stands."""

    __slots__ = ("contents", "documents", "found", "silent", "unread")

    def __init__(
        self, contents: tuple[_Content, ...], unread: frozenset[str], found: list[_Ready]
    ) -> None:
        self.contents = contents
        self.unread = unread
        self.documents: dict[str, Document | None] = dict.fromkeys(unread)
        self.documents.update((content.name, content.document) for content in contents)
        self.found = found
        self.silent = not found and not any(
            content.waivers or content.secret or any(content.found.values()) for content in contents
        )


class _Survey:
    """What was read. Each of ``directories``, given by their relative paths, has the one of
    ``combinations`` with its number; ``loud`` are those of which there is something to say, by
    their paths."""

    __slots__ = ("combinations", "directories", "files", "loud", "notes", "unreadable")

    def __init__(self) -> None:
        self.files = 0
        self.directories: list[str] = []
        self.combinations: list[_Combination] = []
        self.loud: list[tuple[str, _Combination]] = []
        self.notes: list[tuple[str, str]] = []
        self.unreadable: list[tuple[str, str]] = []

    def add(self, other: _Survey) -> None:
        """Append what was read elsewhere."""
        self.files += other.files
        self.directories += other.directories
        self.combinations += other.combinations
        self.loud += other.loud
        self.notes += other.notes
        self.unreadable += other.unreadable


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
    how many files were looked at by this process. ``processes`` are how many to use: by default
    one, or where there is much to read one for each CPU."""

    def __init__(
        self,
        settings: Settings,
        *,
        version: str = "",
        today: datetime.date | None = None,
        progress: Callable[[int], None] | None = None,
        processes: int | None = None,
    ) -> None:
        self._settings = settings
        self._version = version
        self._today = today or datetime.date.today()
        self._progress = progress
        self._processes = processes
        self._looked_at = 0
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
        self._excluded = self._is_excluded if settings.exclude else None
        self._recent: dict[str, list[_Content]] = {name: [] for name in KINDS}
        self._by_text: dict[str, dict[bytes, _Content]] = {name: {} for name in KINDS}
        self._combinations: dict[tuple[tuple[_Content, ...], frozenset[str]], _Combination] = {}
        self._tracked = Tracked(settings.root)
        self._baseline = Baseline.load(settings.baseline) if settings.baseline else None
        self._diagnostics: list[Diagnostic] = []
        self._fingerprints: dict[str, int] = {}
        #: Waivers in comments, by file, and which of them were needed.
        self._inline: dict[str, tuple[_Content, set[Waiver]]] = {}
        self._settings_waivers_needed: set[int] = set()

    def run(self, paths: Sequence[str]) -> LintResult:
        """Lint what is at and below ``paths``. Raises :class:`LockcfgError` where one of several
        processes ends before its work is done."""
        survey = self._survey(paths)
        for directory, combination in survey.loud:
            self._look_at(directory, combination)
        self._look_at_all(survey)
        self._look_at_waivers()
        self._look_at_what_is_known(paths, [path for path, _ in survey.unreadable])
        return self._result(survey)

    def run_text(self, text: bytes, path: str, kind: FileKind) -> LintResult:
        """Lint ``text`` as if it were the file at ``path``, alone."""
        survey = _Survey()
        survey.files = 1
        # What is known of one file says nothing of a waiver of what several make together.
        self._running = [*self._of_scope("file"), *self._of_scope("run")]
        content = self._content(kind.name, text)
        if content.passed_over:
            survey.notes.append((path, f"{content.passed_over}, passed over"))
        else:
            self._look_at_file(path, content)
        self._look_at_waivers()
        return self._result(survey)

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

    # Reading

    def _survey(self, paths: Sequence[str]) -> _Survey:
        """Read all that is at and below ``paths``."""
        survey = _Survey()
        named = {path: None for path in paths if is_file_of_ours(path)}
        pending = [path for path in reversed(paths) if path not in named]
        seen: set[str] | None = set() if _overlap(paths) else None
        processes = 1 if seen is not None else self._processes or _cpus()
        enough = _MANY if self._processes is None else 0
        jobs: list[list[str]] = []
        for directory in discover(pending, self._excluded, survey.unreadable, seen):
            self._read(directory, survey)
            # What has been read up to here is known to every process.
            if processes > 1 and pending and len(pending) + len(survey.directories) >= enough:
                size = len(pending) // _JOBS + 1
                rest = pending[::-1]
                jobs = [rest[at : at + size] for at in range(0, len(rest), size)]
                pending.clear()
        if jobs:
            for part in self._shared(jobs, processes):
                survey.add(part)
        for directory in together(named, seen or ()):
            self._read(directory, survey)
        return survey

    def _shared(self, jobs: Sequence[Sequence[str]], processes: int) -> list[_Survey]:
        """The jobs, lists of paths to be walked, done by this process and others together."""
        take, put = os.pipe()
        os.write(put, bytes(range(len(jobs))))
        os.close(put)

        def work() -> dict[int, _Survey]:
            self._progress = None
            return self._work(jobs, take)

        workers: list[_Worker] = []
        try:
            for _ in range(processes - 1):
                try:
                    workers.append(_Worker(work))
                except OSError:
                    break  # there are no more to be had: those that are there do it all
            done = self._work(jobs, take)
            for worker in workers:
                done.update(self._adopted(worker.result()))
        finally:
            while os.read(take, _JOBS):
                pass  # after an error: no more work for the others
            os.close(take)
            # Each has to hear that nobody listens before one is waited for: it may be what
            # holds the pipe of another.
            for worker in workers:
                worker.close()
            for worker in workers:
                worker.wait()
        return [done[number] for number in range(len(jobs))]

    def _work(self, jobs: Sequence[Sequence[str]], take: int) -> dict[int, _Survey]:
        """Do jobs as long as there are any. Each is a byte in the pipe ``take``, so it goes to
        one process, and a slow one gets fewer."""
        done: dict[int, _Survey] = {}
        while number := os.read(take, 1):
            survey = done[number[0]] = _Survey()
            pending = list(reversed(jobs[number[0]]))
            for directory in discover(pending, self._excluded, survey.unreadable, None):
                self._read(directory, survey)
        return done

    def _adopted(self, done: dict[int, _Survey]) -> dict[int, _Survey]:
        """What another process read, with this one's contents where it knows them."""
        own: dict[_Combination, _Combination] = {}
        for survey in done.values():
            for combination in survey.combinations:
                if combination not in own:
                    own[combination] = self._adopt(combination)
            survey.combinations = [own[each] for each in survey.combinations]
            survey.loud = [(path, own[each]) for path, each in survey.loud]
        return done

    def _adopt(self, combination: _Combination) -> _Combination:
        contents = tuple(
            self._by_text[content.name].setdefault(content.text, content)
            for content in combination.contents
        )
        key = contents, combination.unread
        known = self._combinations.get(key)
        if known is None:
            known = self._combinations[key] = _Combination(*key, combination.found)
        return known

    def _is_excluded(self, path: str) -> bool:
        relative = self._settings.relative(path)
        return any(
            fnmatch(relative, pattern) or fnmatch(relative, f"*/{pattern}")
            for pattern in self._settings.exclude
        )

    def _read(self, directory: Directory, survey: _Survey) -> None:
        path, names, templates, others = directory
        prefix = os.path.join(path, "")
        survey.notes += [(prefix + name, f"{note_on(name)}, passed over") for name in templates]
        unread = {*others, *(name[: name.rindex(".")] for name in templates)}
        contents: list[_Content] = []
        for name in names:
            self._looked_at += 1
            if self._progress is not None and not self._looked_at % 500:
                self._progress(self._looked_at)
            try:
                text = read_bytes(prefix + name)
            except ReadError as error:
                survey.unreadable.append((prefix + name, error.reason))
                unread.add(name)
                continue
            survey.files += 1
            content = self._content(name, text)
            if content.passed_over:
                survey.notes.append((prefix + name, f"{content.passed_over}, passed over"))
                unread.add(name)
            else:
                contents.append(content)
                unread.discard(name)
        if not contents:
            return
        key = tuple(contents), frozenset(unread)
        combination = self._combinations.get(key)
        if combination is None:
            combination = self._combinations[key] = _Combination(*key, self._found_together(*key))
        survey.directories.append(self._settings.relative(path))
        survey.combinations.append(combination)
        if not combination.silent:
            survey.loud.append((path, combination))

    def _content(self, name: str, text: bytes) -> _Content:
        """The content of a file: the same object for the same bytes."""
        recent = self._recent[name]
        # Most files are what one of the last ones was, and to compare is faster than to hash.
        for content in recent:
            if content.text == text:
                return content
        known = self._by_text[name]
        found = known.get(text)
        if found is None:
            found = known[text] = _Content(name, text)
            if not found.passed_over:
                found.secret = self._is_secret(found)
                if not found.secret:
                    found.found[None, None] = self._found_in(found, None, None)
        recent.insert(0, found)
        del recent[_RECENT:]
        return found

    # Rules

    def _is_secret(self, content: _Content) -> bool:
        """Whether the rules about passwords would find something if everybody could read the
        file, or version control had it."""
        document = content.document
        if document is None or b"_password" not in content.text:
            return False
        subjects = (
            FileSubject(document, mode=0o004, tracked=False),
            FileSubject(document, mode=0o600, tracked=True),
        )
        return any(
            any(module.check(subject, self._settings.options))
            for module in self._of_scope("file")
            if module.RULE.code.startswith("LK4")
            for subject in subjects
        )

    def _found_together(
        self, contents: tuple[_Content, ...], unread: frozenset[str]
    ) -> list[_Ready]:
        """What the rules of a host find in a directory with ``contents``, and with files that
        were not read."""
        found: list[_Ready] = []
        by_name = {content.name: content for content in contents}
        for driver in DRIVERS:
            if f"{driver}.conf" not in by_name:
                continue
            kinds = kinds_of(driver)
            of_host = [by_name.get(kind.name) for kind in kinds]
            if any(content is not None and content.document is None for content in of_host):
                continue  # what cannot be parsed has its finding already
            if driver == "libxl" and _is_bystander(by_name, unread):
                continue
            documents = {
                kind.role: content.document
                if content is not None and content.document is not None
                else Document(kind, kind.name, None, ())
                for kind, content in zip(kinds, of_host, strict=True)
            }
            subject = HostSubject("", Configuration(driver, documents))
            absent = {kind.role for kind in kinds if kind.name in unread}
            found += self._ready("host", subject, by_name, absent)
        return found

    def _look_at(self, directory: str, combination: _Combination) -> None:
        prefix = os.path.join(directory, "")
        for content in combination.contents:
            self._look_at_file(prefix + content.name, content)
        for ready in combination.found:
            self._say(ready, prefix + ready.finding.path)

    def _look_at_file(self, path: str, content: _Content) -> None:
        if content.waivers:
            self._inline[path] = (content, set())
        known: tuple[int | None, bool | None] = (None, None)
        if content.secret:
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
        return self._ready("file", subject, {content.name: content})

    def _of_scope(self, scope: Scope) -> list[RuleModule]:
        return [module for module in self._running if module.RULE.scope == scope]

    def _ready(
        self,
        scope: Scope,
        subject: Any,
        contents: dict[str, _Content],
        unread: Collection[Role] = (),
    ) -> list[_Ready]:
        """What the rules of ``scope`` find in ``subject``, whose files have ``contents``; without
        those that need a file that was not read."""
        return [
            self._make_ready(module.RULE, found, contents.get(os.path.basename(found.finding.path)))
            for module in self._of_scope(scope)
            if not any(role in unread for role in module.RULE.needs)
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
            for each in content.waivers_of(line):
                if any(means(name, rule.code, rule.name) for name in each.rules):
                    waiver = each
                    break
        veil = content.veil if content else Veil(b"", None)
        fix = None
        if found.fix is not None and content is not None:
            fix = _in_lines(found.fix, content)
            if veil.covers(fix, content.text):
                fix = fix.replace(secret=True)
        finding = veil.finding(finding)
        return _Ready(rule.code, rule.name, finding, fix, waiver)

    def _look_at_all(self, survey: _Survey) -> None:
        modules = self._of_scope("repository")
        if not modules:
            return
        subject = RepositorySubject(
            [
                HostFiles(directory, combination.documents)
                for directory, combination in zip(
                    survey.directories, survey.combinations, strict=True
                )
            ]
        )
        contents_of = {
            os.path.join(self._settings.relative(path), content.name): (
                os.path.join(path, content.name),
                content,
            )
            for path, combination in survey.loud
            for content in combination.contents
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
        first: str = _sha256(basis).hexdigest()
        number = self._fingerprints.get(first, 0)
        self._fingerprints[first] = number + 1
        if not number:
            return first
        second: str = _sha256(basis + b"\0%d" % number).hexdigest()
        return second

    # Waivers and the baseline themselves

    def _look_at_waivers(self) -> None:
        for path, (content, needed) in list(self._inline.items()):
            document = content.document
            assert document is not None
            veil = content.veil
            for waiver in content.waivers:
                place = document.place(waiver.span)
                text = veil.line(place.line, place.text)
                place = Place(path, place.line, place.column, text, place.length)
                if not waiver.reason:
                    self._run_finding("waiver-without-reason", path, place=place)
                for name in waiver.rules:
                    if not known_rule(name):
                        self._run_finding("unknown-rule-in-waiver", path, place=place, name=name)
                self._one_waiver(waiver.rules, waiver.until, waiver in needed, path, place)

    def _look_at_what_is_known(self, paths: Sequence[str], unreadable: Sequence[str]) -> None:
        """What the baseline and the settings have, and this run would have met."""
        looked_at = [os.path.join(os.path.abspath(path), "") for path in paths]
        not_read = [os.path.join(os.path.abspath(path), "") for path in unreadable]
        off = {name[:5].upper() for name in TABLE} - {each.RULE.code for each in self._running}
        if self._baseline is not None:
            for entry in self._baseline.stale():
                path = os.path.join(
                    os.path.normpath(os.path.join(self._settings.root, entry["path"])), ""
                )
                if (
                    entry["code"] not in off
                    and path.startswith(tuple(looked_at))
                    and not path.startswith(tuple(not_read))
                ):
                    self._run_finding("baseline-stale", self._baseline.path, entry=entry)
        whole = os.path.join(self._settings.root, "").startswith(tuple(looked_at))
        if self._settings.path is None or not whole or not_read:
            return
        for number, each in enumerate(self._settings.waivers):
            needed_it = number in self._settings_waivers_needed
            self._one_waiver((each.rule,), each.until, needed_it, self._settings.path, None)

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

    def _result(self, survey: _Survey) -> LintResult:
        self._diagnostics.sort(key=_order)
        return LintResult(
            self._diagnostics,
            self._infos,
            files=survey.files,
            hosts=len(survey.directories),
            notes=sorted(survey.notes),
            unreadable=sorted(survey.unreadable),
            version=self._version,
        )


class _Worker:
    """A process beside this one that works out one thing."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._read, write = os.pipe()
        try:
            self._pid = os.fork()
        except OSError:
            os.close(self._read)
            os.close(write)
            raise
        if not self._pid:
            os.close(self._read)
            _work_and_exit(work, write)
        os.close(write)

    def result(self) -> Any:
        """What it worked out. Raises :class:`LockcfgError` where it did not come to that."""
        import pickle

        with open(self._read, "rb", closefd=False) as stream:
            try:
                return pickle.load(stream)  # noqa: S301 - it is our own
            except (EOFError, pickle.UnpicklingError):
                raise LockcfgError(
                    "one of the processes of the linter ended before its work was done",
                    help="memory may be short: lint a part of the files at a time",
                ) from None

    def close(self) -> None:
        """Listen no longer: if it has still something to tell, it ends."""
        os.close(self._read)

    def wait(self) -> None:
        """Wait for its end, so that nothing is left of it."""
        os.waitpid(self._pid, 0)


def _work_and_exit(work: Callable[[], object], write: int) -> NoReturn:
    """What a worker does. It shares buffers of output with its parent and must not flush them."""
    import pickle
    import signal
    import sys

    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # the parent speaks for both
        with open(write, "wb") as stream:
            pickler = pickle.Pickler(stream, pickle.HIGHEST_PROTOCOL)
            pickler.dispatch_table = {FileKind: lambda kind: (kind_named, (kind.name,))}
            pickler.dump(work())
    except (BrokenPipeError, KeyboardInterrupt):
        pass  # the parent has given up
    except BaseException:  # noqa: BLE001 - whatever it is, it ends here
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(0)


def _cpus() -> int:
    """How many processes to use; one where there are threads, which do not survive a fork."""
    import threading

    if threading.active_count() > 1:
        return 1
    return min(len(os.sched_getaffinity(0)), _PROCESSES)


def _overlap(paths: Sequence[str]) -> bool:
    """Whether one of ``paths`` is another one, or below it."""
    whole = sorted(os.path.join(os.path.abspath(path), "") for path in paths)
    return any(after.startswith(before) for before, after in pairwise(whole))


def _is_bystander(contents: Mapping[str, _Content], unread: Collection[str]) -> bool:
    """Whether the Xen driver's files are just those that every package of libvirt installs:
    nothing is set in them, and QEMU's are there."""
    if "qemu.conf" not in contents and "qemu.conf" not in unread:
        return False
    return not any(
        content.document is not None and content.document.entries
        for name, content in contents.items()
        if KINDS[name].drivers == ("libxl",)
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


def _in_lines(fix: RuleFix, content: _Content) -> Fix:
    """A rule's fix, by bytes, as one by lines and columns."""
    document = content.document
    assert document is not None

    def position(offset: int) -> tuple[int, int]:
        place = document.place(Span(offset, offset))
        return place.line, place.column

    return Fix(
        fix.safety,
        fix.description,
        [
            Replacement(*position(each.span.start), *position(each.span.end), each.text)
            for each in fix.replacements
        ],
        content.checksum,
    )


def _mode(path: str) -> int | None:
    try:
        return os.stat(path).st_mode & 0o777
    except OSError:
        return None
