"""The main loop: find the files, check each distinct content once, and report for each file.

Most files of a fleet are the same. The linter parses each distinct content once, and runs the rules
of a file on it once. It runs the rules of a host once on each distinct set of contents of a
directory. A finding is kept with the bare name of the file as its path, and gets its directory for
each host. So time and memory grow with the number of differences and of findings.

A run first reads, in several processes if there are many files. Then one process reports in the
order of the walk, so a report does not depend on which process read which file.
"""

from __future__ import annotations

import os

from lockcfg.findings import Place
from lockcfg.lint.checks import Checks, copy_of
from lockcfg.lint.contents import Survey
from lockcfg.lint.reading import Reader
from lockcfg.lint.result import LintFinding, LintResult, Suppression
from lockcfg.lint.settings import known_rule, matches, names_rule
from lockcfg.lint.tracked import Tracked
from lockcfg.rules.rule import HostFiles, RepositorySubject, RuleFinding

TYPE_CHECKING = False
if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Sequence
    from typing import Any

    from lockcfg.conf.files import FileKind
    from lockcfg.lint.baseline import Baseline
    from lockcfg.lint.contents import Combination, Content, Ready
    from lockcfg.lint.settings import LintSettings
    from lockcfg.lint.waivers import Waiver

try:  # hashlib would load OpenSSL, which takes a third of the time of a short run.
    from _sha2 import sha256 as _sha256  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from _sha256 import sha256 as _sha256  # type: ignore[import-not-found, unused-ignore]


class Linter:
    """One run. ``today`` decides which waivers have expired. The run calls ``progress`` now and
    then with the number of files that this process has read. ``render`` makes the text of the
    template at a path; without it, the run passes over templates. ``processes`` is how many to use:
    by default one, or one for each CPU if there are many files."""

    def __init__(
        self,
        settings: LintSettings,
        *,
        version: str = "",
        today: datetime.date | None = None,
        progress: Callable[[int], None] | None = None,
        render: Callable[[str], bytes] | None = None,
        processes: int | None = None,
    ) -> None:
        self._settings = settings
        self._version = version
        self._today = today
        self._checks = Checks(settings)
        self._reader = Reader(
            settings, self._checks, progress=progress, render=render, processes=processes
        )
        self._tracked = Tracked(settings.root)
        self._baseline = _baseline(settings.baseline) if settings.baseline else None
        self._diagnostics: list[LintFinding] = []
        self._fingerprints: dict[str, int] = {}
        #: Waivers in comments, by file, and which of them covered a finding.
        self._inline: dict[str, tuple[Content, set[Waiver]]] = {}
        self._settings_waivers_needed: set[int] = set()

    def run(self, paths: Sequence[str]) -> LintResult:
        """Lint the files at and below ``paths``. Raises :class:`LockcfgError` if one of several
        processes ends before its work is done."""
        survey = self._reader.read(paths)
        for directory, combination in survey.to_report:
            self._look_at(directory, combination)
        self._look_at_all(survey)
        self._look_at_waivers()
        self._look_at_what_is_known(paths, [path for path, _ in survey.unreadable])
        return self._result(survey)

    def run_text(self, text: bytes, path: str, kind: FileKind) -> LintResult:
        """Lint ``text`` as if it were the file at ``path``, alone."""
        survey = Survey()
        # A run of one file cannot tell whether a waiver for several files together is needed.
        self._checks.keep("file", "run")
        content = self._reader.content(kind.name, text)
        if content.passed_over:
            survey.notes.append((path, f"{content.passed_over}, passed over"))
        else:
            survey.files = 1
            self._look_at_file(path, content)
        self._look_at_waivers()
        return self._result(survey)

    # Rules

    def _look_at(self, directory: str, combination: Combination) -> None:
        prefix = os.path.join(directory, "")
        suffix_of = {content.name: content.suffix for content in combination.contents}
        for content in combination.contents:
            self._look_at_file(prefix + content.name + content.suffix, content)
        for ready in combination.found:
            name = ready.finding.path
            self._say(ready, prefix + name + suffix_of.get(name, ""))

    def _look_at_file(self, path: str, content: Content) -> None:
        if content.waivers:
            self._inline[path] = (content, set())
        known: tuple[int | None, bool | None] = (None, None)
        if content.asks and not content.rendered:
            known = (_mode(path), self._tracked.has(path))
        found = content.found.get(known)
        if found is None:
            found = content.found[known] = self._checks.found_in(content, *known)
        for ready in found:
            self._say(ready, path)

    def _look_at_all(self, survey: Survey) -> None:
        modules = self._checks.of_scope("repository")
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
                os.path.join(path, content.name + content.suffix),
                content,
            )
            for path, combination in survey.to_report
            for content in combination.contents
            if content.waivers
        }
        for module in modules:
            for found in module.check(subject, self._settings.options):
                path, content = contents_of.get(found.finding.path, (None, None))
                if path is None:
                    path = os.path.join(self._settings.root, found.finding.path)
                self._say(self._checks.make_ready(module.RULE, found, content), path)

    # Reporting

    def _say(self, ready: Ready, path: str) -> None:
        """Add the finding for the file at ``path``."""
        relative = self._settings.relative(path)
        for glob, rules in self._settings.per_path:
            if matches(relative, glob) and any(
                names_rule(name, ready.code, ready.name) for name in rules
            ):
                return
        suppression = self._waived(ready, path, relative)
        fingerprint = self._fingerprint(ready, relative)
        if suppression is None and self._baseline and self._baseline.covers(fingerprint):
            suppression = Suppression("baseline", "in the baseline")
        self._diagnostics.append(
            LintFinding(
                ready.code,
                copy_of(ready.finding, path=path),
                fingerprint,
                ready.fix,
                suppression,
            )
        )

    def _waived(self, ready: Ready, path: str, relative: str) -> Suppression | None:
        waiver = ready.waiver
        if waiver is not None:
            self._inline[path][1].add(waiver)
            if not self._is_past(waiver.until):
                return Suppression("inline", waiver.reason)
        for number, each in enumerate(self._settings.waivers):
            if names_rule(each.rule, ready.code, ready.name) and matches(relative, each.path):
                self._settings_waivers_needed.add(number)
                if not self._is_past(each.until):
                    return Suppression("settings", each.reason)
        return None

    def _fingerprint(self, ready: Ready, relative: str) -> str:
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

    # Findings about waivers and the baseline

    def _look_at_waivers(self) -> None:
        for path, (content, needed) in list(self._inline.items()):
            document = content.document
            assert document is not None
            passwords = content.passwords
            for waiver in content.waivers:
                place = document.place(waiver.span)
                text = passwords.line(place.line, place.text)
                place = Place(path, place.line, place.column, text, place.length)
                if not waiver.reason:
                    self._run_finding("waiver-without-reason", path, place=place)
                for name in waiver.rules:
                    if not known_rule(name):
                        self._run_finding("unknown-rule-in-waiver", path, place=place, name=name)
                self._one_waiver(waiver.rules, waiver.until, waiver in needed, path, place)

    def _look_at_what_is_known(self, paths: Sequence[str], unreadable: Sequence[str]) -> None:
        """Report the entries of the baseline and the waivers of the settings that this run should
        have met."""
        looked_at = [os.path.join(os.path.abspath(path), "") for path in paths]
        not_read = [os.path.join(os.path.abspath(path), "") for path in unreadable]
        on = {code for code, _ in self._checks.running}
        if self._baseline is not None:
            for entry in self._baseline.stale():
                path = os.path.join(
                    os.path.normpath(os.path.join(self._settings.root, entry["path"])), ""
                )
                if (
                    (entry["code"] in on or not known_rule(entry["code"]))
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
                names_rule(name, code, slug)
                for name in rules
                for code, slug in self._checks.running
            )
            if running:
                self._run_finding("waiver-unneeded", path, place=place, rules=rules)
        elif self._is_past(until):
            self._run_finding("waiver-expired", path, place=place, rules=rules, until=until)

    def _is_past(self, until: datetime.date | None) -> bool:
        """Whether a waiver has expired; its last day is ``until``, or it has none."""
        if until is None:
            return False
        if self._today is None:
            import datetime

            self._today = datetime.date.today()
        return until < self._today

    def _run_finding(self, slug: str, path: str, **arguments: Any) -> None:
        """Add a finding of a rule about the run itself, if the settings allow that rule."""
        module: Any = self._checks.called(slug)
        if module is not None:
            finding = module.finding(path=path, **arguments)
            self._say(self._checks.make_ready(module.RULE, RuleFinding(finding), None), path)

    def _result(self, survey: Survey) -> LintResult:
        self._diagnostics.sort(key=_order)
        return LintResult(
            self._diagnostics,
            self._checks.infos,
            files=survey.files,
            hosts=len(survey.directories),
            notes=sorted(survey.notes),
            unreadable=sorted(survey.unreadable),
            version=self._version,
        )


def _order(diagnostic: LintFinding) -> tuple[str, int, int, str, str]:
    finding = diagnostic.finding
    place = finding.place
    line, column = (place.line, place.column) if place else (0, 0)
    return finding.path, line, column, diagnostic.code, finding.message


def _baseline(path: str) -> Baseline:
    from lockcfg.lint.baseline import Baseline

    return Baseline.load(path)


def _mode(path: str) -> int | None:
    try:
        return os.stat(path).st_mode & 0o777
    except OSError:
        return None
