"""Reads the files of a run: each distinct content once, in several processes if there are many."""

from __future__ import annotations

import os
from fnmatch import fnmatch
from itertools import pairwise

from lockcfg.conf.files import KINDS, READ
from lockcfg.conf.guest import guest_in
from lockcfg.conf.load import read_bytes
from lockcfg.errors import ReadError
from lockcfg.lint.contents import ALONE, Combination, Content, Surroundings, Survey
from lockcfg.lint.discover import TEMPLATE, discover, is_file_of_ours, note_on, together
from lockcfg.workers import MOST_JOBS, share
from lockcfg.workers import processes as cpus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Final

    from lockcfg.conf.guest import Guest
    from lockcfg.lint.checks import Checks
    from lockcfg.lint.discover import Directory
    from lockcfg.lint.settings import LintSettings

#: How many contents of one kind the reader compares before it looks a file up by its hash.
_RECENT: Final = 4

#: From how many directories on, read or pending, sharing them among processes saves time.
MANY: Final = 500


class Reader:
    """Reads files, and runs ``checks`` on each distinct content and each distinct set of contents
    once. The reader calls ``progress`` now and then with the number of files that this process has
    read. ``render`` makes the text of the template at a path; without it, the reader passes over
    templates. ``processes`` is how many to use: by default one, or one for each CPU if there are
    many files."""

    def __init__(
        self,
        settings: LintSettings,
        checks: Checks,
        *,
        progress: Callable[[int], None] | None = None,
        render: Callable[[str], bytes] | None = None,
        processes: int | None = None,
    ) -> None:
        self._settings = settings
        self._checks = checks
        self._progress = progress
        self._render = render
        self._processes = processes
        self._looked_at = 0
        self._excluded = self._is_excluded if settings.exclude else None
        self._recent: dict[str, list[Content]] = {name: [] for name in READ}
        self._by_text: dict[str, dict[bytes, Content]] = {name: {} for name in READ}
        self._combinations: dict[
            tuple[tuple[Content, ...], frozenset[str], Surroundings], Combination
        ] = {}

    def read(self, paths: Sequence[str]) -> Survey:
        """Read everything at and below ``paths``."""
        survey = Survey()
        named = {path: None for path in paths if is_file_of_ours(path)}
        pending = [path for path in reversed(paths) if path not in named]
        seen: set[str] | None = set() if _overlap(paths) else None
        enough = MANY if self._processes is None else 0
        jobs: list[list[str]] = []
        for directory in discover(pending, self._excluded, survey.unreadable, seen):
            self._read(directory, survey)
            if seen is not None or not pending:
                continue
            # Every process knows what this one has read up to here.
            if len(pending) + len(survey.directories) >= enough and self._beside():
                size = len(pending) // MOST_JOBS + 1
                rest = pending[::-1]
                jobs = [rest[at : at + size] for at in range(0, len(rest), size)]
                pending.clear()
        if jobs:
            for part in self._shared(jobs):
                survey.add(part)
        for directory in together(named, seen or ()):
            self._read(directory, survey)
        return survey

    def _beside(self) -> int:
        """How many processes may read beside this one."""
        return (self._processes or cpus()) - 1

    def _shared(self, jobs: Sequence[Sequence[str]]) -> list[Survey]:
        """Do the jobs, which are lists of paths to walk, in this process and in others."""

        def work(numbers: Iterator[int]) -> dict[int, Survey]:
            return self._work(jobs, numbers)

        def beside(numbers: Iterator[int]) -> dict[int, Survey]:
            self._progress = None
            return work(numbers)

        results = share(
            len(jobs),
            work,
            [beside] * self._beside(),
            whose="linter",
            help="memory may be short: lint a part of the files at a time",
        )
        done = dict(next(results))
        for result in results:
            done.update(self._adopted(result))
        return [done[number] for number in range(len(jobs))]

    def _work(self, jobs: Sequence[Sequence[str]], numbers: Iterator[int]) -> dict[int, Survey]:
        """Do the jobs of these numbers."""
        done: dict[int, Survey] = {}
        for number in numbers:
            survey = done[number] = Survey()
            pending = list(reversed(jobs[number]))
            for directory in discover(pending, self._excluded, survey.unreadable, None):
                self._read(directory, survey)
        return done

    def _adopted(self, done: dict[int, Survey]) -> dict[int, Survey]:
        """What another process has read, with this process's own objects for the contents that both
        know."""
        own: dict[Combination, Combination] = {}
        for survey in done.values():
            for combination in (
                *survey.combinations,
                *(each for _, each in survey.to_report),
            ):
                if combination not in own:
                    own[combination] = self._adopt(combination)
            survey.combinations = [own[each] for each in survey.combinations]
            survey.to_report = [(path, own[each]) for path, each in survey.to_report]
        return done

    def _adopt(self, combination: Combination) -> Combination:
        contents = tuple(
            content
            if content.rendered
            else self._by_text[content.name].setdefault(content.text, content)
            for content in combination.contents
        )
        key = contents, combination.unread, combination.surroundings
        known = self._combinations.get(key)
        if known is None:
            known = self._combinations[key] = Combination(*key, combination.found)
        return known

    def _is_excluded(self, path: str) -> bool:
        relative = self._settings.relative(path)
        return any(
            fnmatch(relative, pattern) or fnmatch(relative, f"*/{pattern}")
            for pattern in self._settings.exclude
        )

    def _read(self, directory: Directory, survey: Survey) -> None:
        path, names, templates, others, beside = directory
        prefix = os.path.join(path, "")
        unread = {*others, *(name[: name.rindex(".")] for name in templates)}
        contents: list[Content] = []
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
            content = self.content(name, text)
            if content.passed_over == TEMPLATE and self._render is not None:
                unread.add(name)
                self._add_rendered(prefix, name, "", contents, survey)
            elif content.passed_over:
                survey.notes.append((prefix + name, f"{content.passed_over}, passed over"))
                unread.add(name)
            else:
                survey.files += 1
                contents.append(content)
        for name in templates:
            made, dot, suffix = name.rpartition(".")
            what = note_on(name)
            if (
                what != TEMPLATE
                or self._render is None
                or made in {*names, *(each.name for each in contents)}
            ):
                survey.notes.append((prefix + name, f"{what}, passed over"))
            else:
                self._add_rendered(prefix, made, dot + suffix, contents, survey)
        unread -= {content.name for content in contents}
        if not contents:
            return
        surroundings = ALONE
        if beside.guests or beside.has_engine:
            surroundings = Surroundings(
                self._guests(prefix, beside.guests, survey), has_engine=beside.has_engine
            )
        key = tuple(contents), frozenset(unread), surroundings
        combination = self._combinations.get(key)
        if combination is None:
            combination = self._combinations[key] = Combination(
                *key, self._checks.found_together(*key)
            )
        if any(content.name in KINDS for content in contents):
            # sanlock's own file is in a directory of its own, which does not make it another host.
            survey.directories.append(self._settings.relative(path))
            survey.combinations.append(combination)
        if not combination.clean:
            survey.to_report.append((path, combination))

    def _guests(self, prefix: str, names: Sequence[str], survey: Survey) -> list[Guest]:
        """What descriptions of guests say that matters to a rule."""
        guests: list[Guest] = []
        for name in names:
            self._looked_at += 1
            try:
                guest = guest_in(read_bytes(prefix + name), name)
            except ReadError as error:
                survey.unreadable.append((prefix + name, error.reason))
                continue
            except ValueError as error:
                survey.notes.append((prefix + name, f"{error}, passed over"))
                continue
            survey.files += 1
            if guest is not None:
                guests.append(guest)
        return guests

    def _add_rendered(
        self, prefix: str, name: str, suffix: str, contents: list[Content], survey: Survey
    ) -> None:
        """Render the template of the file ``name``, and add the result."""
        assert self._render is not None
        path = prefix + name + suffix
        try:
            text = self._render(path)
        except ReadError as error:
            survey.unreadable.append((path, error.reason))
            return
        content = Content(name, text, rendered=True, suffix=suffix)
        if content.passed_over:
            survey.unreadable.append((path, f"it is still {content.passed_over} when rendered"))
            return
        content.found[None, None] = self._checks.found_in(content, None, None)
        survey.files += 1
        contents.append(content)

    def content(self, name: str, text: bytes) -> Content:
        """The content of a file: the same object for the same bytes."""
        recent = self._recent[name]
        # Most files equal one of the last ones, and a comparison is faster than a hash.
        for content in recent:
            if content.text == text:
                return content
        known = self._by_text[name]
        found = known.get(text)
        if found is None:
            found = known[text] = Content(name, text)
            if not found.passed_over:
                found.found[None, None] = self._checks.found_in(found, None, None)
        recent.insert(0, found)
        del recent[_RECENT:]
        return found


def _overlap(paths: Sequence[str]) -> bool:
    """Whether one of ``paths`` equals another one or is below it."""
    whole = sorted(os.path.join(os.path.abspath(path), "") for path in paths)
    return any(after.startswith(before) for before, after in pairwise(whole))
