"""The manual of every rule is true: its examples are run, and its fixes are applied.

A manual is the docstring of the rule's module, under the headings of :data:`HEADINGS`. Below
"Example" and "Use instead" stand fenced blocks:

- ``conf NAME``: a configuration file. For a rule of one file each block is a case of its own; for
  a rule of a host the blocks of a section are the files of one host.
- ``bytes NAME``: the same for text that is not UTF-8, with Python's escapes.
- ``xml PATH``: libvirt's description of a guest of the host.
- ``yaml settings``: the options of the section, as the settings of the linter write them.
- ``yaml file``: what is known of the section's files besides: ``mode``, ``tracked``.

The examples of a rule that looks at more than one host are run by its own tests.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml

import lockcfg.rules
from lockcfg.conf.document import Document, encode
from lockcfg.conf.files import DRIVERS, LOCKD, READ, kinds_of
from lockcfg.conf.guest import Guest, guest_in
from lockcfg.conf.load import parse
from lockcfg.errors import ConfSyntaxError
from lockcfg.host.host import Configuration
from lockcfg.rules import TABLE, rule_module, syntax_finding
from lockcfg.rules.rule import FileSubject, HostSubject, Options, RuleFinding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lockcfg.conf.document import Value
    from lockcfg.rules import RuleModule

HEADINGS = ["What it does", "Why is this bad", "Example", "Use instead", "Fix"]
BLOCK = re.compile(r"^```(\S+) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

#: The texts of some files, by name.
Files = dict[str, bytes]


class Case(NamedTuple):
    """What one run of a rule is given."""

    files: Files
    options: Options
    mode: int | None = None
    tracked: bool | None = None
    guests: tuple[Guest, ...] = ()
    has_engine: bool = False


@pytest.fixture(params=TABLE)
def module(request: pytest.FixtureRequest) -> RuleModule:
    """The module of each rule of the table."""
    return rule_module(request.param)


def manual_of(module: RuleModule) -> tuple[str, dict[str, str]]:
    """The summary of a manual, and its sections."""
    summary, *parts = re.split(r"^## (.+)\n", module.__doc__ or "", flags=re.MULTILINE)
    return summary.strip(), dict(zip(parts[::2], parts[1::2], strict=True))


def cases_of(module: RuleModule, heading: str) -> list[Case]:
    """What the examples of a section show."""
    files: list[tuple[str, bytes]] = []
    base = Case({}, Options())
    for language, name, body in BLOCK.findall(manual_of(module)[1][heading]):
        if language == "yaml" and name == "settings":
            base = base._replace(options=options_of(yaml.safe_load(body)))
        elif language == "yaml" and name == "file":
            base = base._replace(**attributes_of(yaml.safe_load(body)))
        elif language == "xml":
            guest = guest_in(body.encode(), name)
            assert guest is not None, f"{name} has nothing that a rule reads"
            base = base._replace(guests=(*base.guests, guest))
        elif name == LOCKD.name:
            parse(body.encode(), LOCKD, name)
            base = base._replace(has_engine=True)
        elif language == "bytes":
            files.append((name, body.encode("latin-1").decode("unicode_escape").encode("latin-1")))
        else:
            assert language == "conf", f"a block of {language}"
            files.append((name, body.encode()))
    assert files, f"nothing under '{heading}'"
    assert {name for name, _ in files} <= set(READ)
    if module.RULE.scope == "file":
        return [base._replace(files={name: text}) for name, text in files]
    assert len(files) == len(dict(files)), "a host has each file once"
    return [base._replace(files=dict(files))]


def options_of(settings: dict[str, Any]) -> Options:
    """The options that a block of settings means."""
    given = {key.replace("-", "_"): value for key, value in settings.items()}
    if "libvirt_version" in given:
        given["libvirt_version"] = tuple(map(int, given["libvirt_version"].split(".")))
    return Options(**given)


def attributes_of(known: dict[str, Any]) -> dict[str, Any]:
    """What a block says of files, as fields of a case."""
    return {key: int(value, 8) if key == "mode" else value for key, value in known.items()}


def run(module: RuleModule, case: Case) -> list[RuleFinding]:
    """What a rule finds in some files. Those of a driver whose own file is not there are no
    host, and files that are left out do not exist."""
    documents: dict[str, Document] = {}
    for name, text in case.files.items():
        try:
            documents[name] = parse(text, READ[name], name)
        except ConfSyntaxError as error:
            if module.RULE.name != "syntax":
                raise
            return [RuleFinding(syntax_finding(error))]
    return [
        found
        for subject in subjects_of(module, documents, case)
        for found in module.check(subject, case.options)
    ]


def subjects_of(
    module: RuleModule, documents: dict[str, Document], case: Case
) -> Iterator[FileSubject | HostSubject]:
    """What a rule of one file or of one host is given to look at."""
    if module.RULE.scope == "file":
        for document in documents.values():
            yield FileSubject(document, mode=case.mode, tracked=case.tracked)
        return
    drivers = [driver for driver in DRIVERS if f"{driver}.conf" in documents]
    assert drivers, "no host without the driver's own file"
    for driver in drivers:
        yield HostSubject(
            "",
            Configuration(
                driver,
                {
                    kind.role: documents.get(kind.name) or Document(kind, kind.name, None, ())
                    for kind in kinds_of(driver)
                },
            ),
            guests=case.guests,
            has_engine=case.has_engine,
        )


def applied(files: Files, all_found: Iterable[RuleFinding]) -> Files:
    """The files with all fixes of some findings applied, the last place first."""
    fixes = [found for found in all_found if found.fix is not None]
    result = dict(files)
    for name, text in files.items():
        replacements = [
            replacement
            for found in fixes
            if found.finding.path == name and found.fix is not None
            for replacement in found.fix.replacements
        ]
        for replacement in sorted(replacements, key=lambda r: (r.span.start, r.span.end))[::-1]:
            assert 0 <= replacement.span.start <= replacement.span.end <= len(text)
            text = (
                text[: replacement.span.start]
                + encode(replacement.text)
                + text[replacement.span.end :]
            )
        result[name] = text
    return result


def reading_of(files: Files) -> dict[tuple[str, str], Value]:
    """What libvirt reads in some files: of each setting the first entry."""
    reading: dict[tuple[str, str], Value] = {}
    for name, text in files.items():
        for entry in parse(text, READ[name], name).entries:
            reading.setdefault((name, entry.key), entry.value)
    return reading


def without(
    reading: dict[tuple[str, str], Value], all_found: Sequence[RuleFinding]
) -> dict[tuple[str, str], Value]:
    """A reading without the settings that some findings are about."""
    concerned = {(found.finding.path, found.finding.key) for found in all_found}
    return {key: value for key, value in reading.items() if key not in concerned}


def test_the_table_is_the_folder() -> None:
    """No rule is forgotten, and they are in the order of their codes."""
    folder = Path(lockcfg.rules.__file__).parent
    assert list(TABLE) == sorted(path.stem for path in folder.glob("lk*.py"))
    assert {name: rule_module(name).RULE.scope for name in TABLE} == TABLE


def test_no_two_rules_have_one_code_or_name() -> None:
    """They are what settings, waivers and baselines know rules by."""
    rules = [rule_module(name).RULE for name in TABLE]
    assert len({rule.code for rule in rules}) == len(rules)
    assert len({rule.name for rule in rules}) == len(rules)


@pytest.mark.parametrize("name", TABLE)
def test_a_rule_is_called_as_its_file(name: str) -> None:
    """So that either leads to the other."""
    rule = rule_module(name).RULE
    assert re.fullmatch("LK[1-9][0-9][0-9]", rule.code)
    assert name == f"{rule.code.lower()}_{rule.name.replace('-', '_')}"


def test_a_manual_has_its_headings(module: RuleModule) -> None:
    """All of them, in order, after a summary of one line, and none of them empty."""
    summary, sections = manual_of(module)
    assert summary.endswith(".")
    assert "\n" not in summary
    assert list(sections) == HEADINGS
    assert all(text.strip() for text in sections.values())


def test_a_manual_says_how_safe_the_fix_is(module: RuleModule) -> None:
    """With the word that its section begins with."""
    first = re.match(r"\w+", manual_of(module)[1]["Fix"].strip())
    assert first is not None
    assert first.group().lower() == str(module.RULE.fix).lower()


def test_what_the_example_shows_is_found(module: RuleModule) -> None:
    """In every block for a rule of one file, in all of them together for one of a host."""
    if module.RULE.scope not in ("file", "host"):
        return
    for case in cases_of(module, "Example"):
        all_found = run(module, case)
        assert all_found
        for finding in (found.finding for found in all_found):
            assert finding.rule == module.RULE.name
            assert finding.path in {*case.files, *(guest.path for guest in case.guests)}
            assert finding.message
            assert "\n" not in finding.message + finding.help
            assert not finding.message.endswith(".")


def test_what_to_use_instead_is_not_found(module: RuleModule) -> None:
    """Or the advice would be bad."""
    if module.RULE.scope not in ("file", "host"):
        return
    for case in cases_of(module, "Use instead"):
        assert run(module, case) == []


def test_the_fix_mends_the_example(module: RuleModule) -> None:
    """Nothing is left to find or to fix, and a safe fix leaves alone what it is not about."""
    rule = module.RULE
    if rule.scope not in ("file", "host"):
        return
    for case in cases_of(module, "Example"):
        before = run(module, case)
        fixes = [found.fix for found in before if found.fix is not None]
        assert bool(fixes) == (rule.fix is not None)
        if not fixes:
            continue
        assert {fix.safety for fix in fixes} == {rule.fix}
        mended = applied(case.files, before)
        assert mended != case.files
        after = run(module, case._replace(files=mended))
        assert after == []
        assert applied(mended, after) == mended
        if rule.fix == "safe":
            assert without(reading_of(mended), before) == without(reading_of(case.files), before)
