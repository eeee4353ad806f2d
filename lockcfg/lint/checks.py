"""The rules that run, and what they find in one content or in several contents together."""

from __future__ import annotations

import os

from lockcfg.conf.document import Document, Span
from lockcfg.conf.files import DRIVERS, READ, kinds_of
from lockcfg.findings import Finding, Place
from lockcfg.frozen import Frozen
from lockcfg.host.host import Configuration
from lockcfg.lint.conceal import PasswordFilter
from lockcfg.lint.contents import Ready
from lockcfg.lint.result import LintFix, LintReplacement
from lockcfg.lint.settings import names_rule
from lockcfg.rules import TABLE, code_and_name, rule_module
from lockcfg.rules.rule import FileSubject, HostSubject, RuleFinding, RuleInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from typing import Any, Final

    from lockcfg.conf.files import Role
    from lockcfg.findings import Severity
    from lockcfg.lint.contents import Content, Surroundings
    from lockcfg.lint.settings import LintSettings
    from lockcfg.rules import RuleModule
    from lockcfg.rules.rule import Fix, Rule, Scope

#: Where the manual of a rule is, in the project's documentation.
RULE_URL: Final = "docs/rules/{code}.md"


class Infos(Frozen):
    """What reports say about the rules of these ``names``; ``severity`` overrides that of some
    rules. The rules are loaded only when a report asks for them."""

    __slots__ = ("names", "severity")

    def __init__(self, names: Sequence[str], severity: Mapping[str, Severity]) -> None:
        self.names: Final = tuple(names)
        self.severity: Final = severity

    def __iter__(self) -> Iterator[RuleInfo]:
        for name in self.names:
            module = rule_module(name)
            rule = module.RULE
            yield RuleInfo(
                rule.code,
                rule.name,
                _severity(self.severity, rule, rule.severity),
                (module.__doc__ or "").partition("\n")[0],
                RULE_URL.format(code=rule.code),
            )


class Checks:
    """The rules that the settings allow. The rules of a scope are loaded when a run reaches the
    scope."""

    def __init__(self, settings: LintSettings) -> None:
        self._settings = settings
        self._selected: Final = [name for name in TABLE if self._selects(*code_and_name(name))]
        self._running: list[str] = self._selected
        self._loaded: dict[Scope, list[RuleModule]] = {}

    def _selects(self, code: str, slug: str) -> bool:
        names = self._settings.select
        if names and not any(names_rule(name, code, slug) for name in names):
            return False
        return not any(names_rule(name, code, slug) for name in self._settings.ignore)

    @property
    def running(self) -> list[tuple[str, str]]:
        """Code and name of the rules that run."""
        return [code_and_name(name) for name in self._running]

    @property
    def infos(self) -> Infos:
        """What reports say about the rules that the settings allow."""
        return Infos(self._selected, self._settings.severity)

    def keep(self, *scopes: Scope) -> None:
        """Run the rules of these scopes only."""
        self._running = [name for name in self._running if TABLE[name] in scopes]

    def called(self, name: str) -> RuleModule | None:
        """The rule of that name, if the settings allow it."""
        for module in self._selected:
            if code_and_name(module)[1] == name:
                return rule_module(module)
        return None

    def found_together(
        self, contents: tuple[Content, ...], unread: frozenset[str], surroundings: Surroundings
    ) -> list[Ready]:
        """What the rules of a host find in a directory with ``contents``, and with those
        ``surroundings``. ``unread`` names the files there that the run did not read."""
        found: list[Ready] = []
        by_name = {content.name: content for content in contents}
        for driver in DRIVERS:
            if f"{driver}.conf" not in by_name:
                continue
            kinds = kinds_of(driver)
            of_host = [by_name.get(kind.name) for kind in kinds]
            if any(content is not None and content.document is None for content in of_host):
                continue  # a content that cannot be parsed has a finding already
            if driver == "libxl" and _is_bystander(by_name, unread):
                continue
            documents = {
                kind.role: content.document
                if content is not None and content.document is not None
                else Document(kind, kind.name, None, ())
                for kind, content in zip(kinds, of_host, strict=True)
            }
            subject = HostSubject(
                "",
                Configuration(driver, documents),
                guests=[each for each in surroundings.guests if each.path.startswith(f"{driver}/")],
                has_engine=surroundings.has_engine,
            )
            absent = {kind.role for kind in kinds if kind.name in unread}
            found += self._ready("host", subject, by_name, absent)
        return found

    def found_in(self, content: Content, mode: int | None, tracked: bool | None) -> list[Ready]:
        """What the rules of a file find in a content. It notes whether a rule asked for ``mode`` or
        ``tracked``."""
        if content.document is None:
            assert content.syntax is not None
            module = self.called(content.syntax.rule)
            if module is None:
                return []
            return [self.make_ready(module.RULE, RuleFinding(content.syntax), content)]
        subject = FileSubject(content.document, mode=mode, tracked=tracked)
        found = self._ready("file", subject, {content.name: content})
        content.asks = content.asks or subject.asked
        return found

    def of_scope(self, scope: Scope) -> list[RuleModule]:
        """The rules of one scope that run."""
        modules = self._loaded.get(scope)
        if modules is None:
            names = [name for name in self._running if TABLE[name] == scope]
            modules = self._loaded[scope] = [rule_module(name) for name in names]
        return modules

    def _ready(
        self,
        scope: Scope,
        subject: Any,
        contents: dict[str, Content],
        unread: Collection[Role] = (),
    ) -> list[Ready]:
        """What the rules of ``scope`` find in ``subject``, whose files have ``contents``. A rule
        that needs a file that the run did not read is left out."""
        return [
            self.make_ready(module.RULE, found, contents.get(os.path.basename(found.finding.path)))
            for module in self.of_scope(scope)
            if not any(role in unread for role in module.RULE.needs)
            if scope != "file" or subject.document.kind.grammar in module.RULE.grammars
            for found in module.check(subject, self._settings.options)
        ]

    def make_ready(self, rule: Rule, found: RuleFinding, content: Content | None) -> Ready:
        """A finding of a rule, ready except for its directory. ``content`` is the content of the
        file that it is about, or None."""
        finding = found.finding
        severity = _severity(self._settings.severity, rule, finding.severity)
        if severity != finding.severity:
            finding = copy_of(finding, severity=severity)
        line = finding.place.line if finding.place else None
        waiver = None
        if content is not None:
            for each in content.waivers_of(line):
                if any(names_rule(name, rule.code, rule.name) for name in each.rules):
                    waiver = each
                    break
        passwords = content.passwords if content else PasswordFilter(b"", None)
        fix = None
        if found.fix is not None and content is not None and not content.rendered:
            fix = _in_lines(found.fix, content)
            if passwords.covers(fix, content.text):
                fix = fix.replace(secret=True)
        finding = passwords.finding(finding)
        return Ready(rule.code, rule.name, finding, fix, waiver)


def _severity(given: Mapping[str, Severity], rule: Rule, own: Severity) -> Severity:
    """The severity that the settings give a rule, or else the rule's own."""
    for name, severity in given.items():
        if names_rule(name, rule.code, rule.name):
            return severity
    return own


def _is_bystander(contents: Mapping[str, Content], unread: Collection[str]) -> bool:
    """Whether the Xen driver's files are only the ones that every package of libvirt installs: they
    set nothing, and the files of QEMU's driver are there too."""
    if "qemu.conf" not in contents and "qemu.conf" not in unread:
        return False
    return not any(
        content.document is not None and content.document.entries
        for name, content in contents.items()
        if READ[name].drivers == ("libxl",)
    )


def copy_of(
    finding: Finding, *, path: str | None = None, severity: Severity | None = None
) -> Finding:
    """A copy of ``finding`` with another path or severity."""
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


def _in_lines(fix: Fix, content: Content) -> LintFix:
    """A rule's fix, which counts in bytes, as a fix that counts in lines and columns."""
    document = content.document
    assert document is not None

    def position(offset: int) -> tuple[int, int]:
        place = document.place(Span(offset, offset))
        return place.line, place.column

    return LintFix(
        fix.safety,
        fix.description,
        [
            LintReplacement(*position(each.span.start), *position(each.span.end), each.text)
            for each in fix.replacements
        ],
        content.checksum,
    )
