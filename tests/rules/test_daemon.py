"""The rules about the lock daemon: what it can carry, and what it logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lockcfg.conf.document import Document
from lockcfg.conf.files import KINDS, kinds_of
from lockcfg.conf.load import load_file, parse
from lockcfg.host.host import Configuration
from lockcfg.rules import rule_module
from lockcfg.rules.rule import FileSubject, HostSubject, Options
from tests.conftest import SAMPLES

if TYPE_CHECKING:
    from lockcfg.rules.rule import RuleFinding

TOO_SMALL = "lk301_max_clients_too_small"
ZERO = "lk302_max_clients_zero"
DESCRIPTORS = "lk303_max_clients_descriptors"
FILTERS = "lk304_log_filters"
OUTPUTS = "lk305_log_outputs"

LOCKD = 'lock_manager = "lockd"\n'


def in_file(
    rule: str, text: str, *, options: Options | None = None, name: str = "virtlockd.conf"
) -> list[RuleFinding]:
    """What a rule of one file finds."""
    subject = FileSubject(parse(text.encode(), KINDS[name], name))
    return list(rule_module(rule).check(subject, options or Options()))


def in_host(options: Options, **files: str) -> list[RuleFinding]:
    """What LK301 finds in a host; files are given by the names of their roles."""
    documents = {
        kind.role: parse(files[kind.role].encode(), kind, kind.name)
        if kind.role in files
        else Document(kind, kind.name, None, ())
        for kind in kinds_of("qemu")
    }
    subject = HostSubject("", Configuration("qemu", documents))
    return list(rule_module(TOO_SMALL).check(subject, options))


# --- LK301 ----------------------------------------------------------------------------------


def test_too_few_clients_for_the_guests() -> None:
    """With all the numbers, at the value."""
    (found,) = in_host(
        Options(guests=100, spare_guests=25), driver=LOCKD, daemon="max_clients = 120\n"
    )
    finding = found.finding
    assert (finding.path, finding.severity) == ("virtlockd.conf", "warning")
    assert finding.place is not None
    assert (finding.place.line, finding.place.column) == (1, 15)
    for number in ("120", "100", "25", "145"):
        assert number in finding.message
    assert "--max-clients 145" in finding.help
    assert found.fix is not None
    assert found.fix.safety == "unsafe"
    assert [replacement.text for replacement in found.fix.replacements] == ["145"]


@pytest.mark.parametrize(
    ("guests", "spare", "clients", "enough"),
    [(80, 0, 100, True), (81, 0, 100, False), (40, 40, 100, True), (40, 41, 100, False)],
)
def test_each_guest_takes_one_connection_and_libvirt_some(
    guests: int, spare: int, clients: int, enough: bool
) -> None:
    """As many as are needed are enough."""
    options = Options(guests=guests, spare_guests=spare)
    found = in_host(options, driver=LOCKD, daemon=f"max_clients = {clients}\n")
    assert (found == []) == enough


def test_the_default_of_a_missing_file_counts() -> None:
    """What cannot be pointed at is said of what makes it needed."""
    (found,) = in_host(Options(guests=1024), driver=LOCKD)
    assert "1024 connections at once by default" in found.finding.message
    assert found.finding.path == "qemu.conf"
    assert found.finding.place is not None
    assert found.fix is None
    assert in_host(Options(guests=1004), driver=LOCKD) == []
    (found,) = in_host(Options(guests=1024), driver=LOCKD, daemon="# nothing\n")
    assert (found.finding.path, found.finding.place) == ("virtlockd.conf", None)


@pytest.mark.parametrize("driver", ["", 'lock_manager = "nop"\n', 'lock_manager = "sanlock"\n'])
def test_without_lockd_nobody_connects(driver: str) -> None:
    """Then no limit is too small."""
    assert in_host(Options(guests=5000), driver=driver, daemon="max_clients = 1\n") == []


@pytest.mark.parametrize("value", ["0", '"5"', "[ 5 ]"])
def test_what_other_rules_say_more_about(value: str) -> None:
    """One mistake, one finding."""
    assert in_host(Options(guests=5), driver=LOCKD, daemon=f"max_clients = {value}\n") == []


def test_without_a_number_of_guests_there_is_nothing_to_compare() -> None:
    """It is not in the files."""
    assert in_host(Options(spare_guests=9), driver=LOCKD, daemon="max_clients = 1\n") == []


def test_of_duplicates_the_first_counts() -> None:
    """As for virtlockd."""
    text = "max_clients = 5000\nmax_clients = 1\n"
    assert in_host(Options(guests=1000), driver=LOCKD, daemon=text) == []


# --- LK302 ----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["max_clients", "admin_max_clients"])
@pytest.mark.parametrize("literal", ["0", "+0", "000"])
def test_a_limit_of_zero(key: str, literal: str) -> None:
    """However it is spelled; the fix leaves libvirt's default."""
    text = f"log_level = 3\n{key} = {literal}\n"
    (found,) = in_file(ZERO, text)
    assert found.finding.severity == "error"
    assert found.finding.key == key
    assert found.fix is not None
    (replacement,) = found.fix.replacements
    span = replacement.span
    assert text[: span.start] + replacement.text + text[span.end :] == "log_level = 3\n"


@pytest.mark.parametrize("value", ["1", "-0", '"0"', "[ ]", "4294967295"])
def test_what_is_no_limit_of_zero(value: str) -> None:
    """Or what has a finding of another rule."""
    assert in_file(ZERO, f"max_clients = {value}\n") == []


def test_to_take_a_zero_out_would_bring_a_dead_entry_to_life() -> None:
    """Then there is no fix."""
    (found,) = in_file(ZERO, "max_clients = 0\nmax_clients = 5\n")
    assert found.fix is None
    assert in_file(ZERO, "max_clients = 5\nmax_clients = 0\n") == []


# --- LK303 ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clients", "limit", "enough"),
    [
        (20472, 40960, True),
        (20473, 40960, False),
        (4294967295, 40960, False),
        (504, 1024, True),
        (505, 1024, False),
    ],
)
def test_descriptors(clients: int, limit: int, enough: bool) -> None:
    """Two for each client and some for the daemon itself."""
    options = Options(descriptor_limit=limit)
    found = in_file(DESCRIPTORS, f"max_clients = {clients}\n", options=options)
    assert (found == []) == enough
    for each in found:
        assert str(clients) in each.finding.message
        assert str(limit) in each.finding.message
        assert f"lower max_clients to {(limit - 16) // 2}" in each.finding.help


@pytest.mark.parametrize(
    ("release", "limit"), [((9, 0, 0), 40960), ((11, 2, 0), 40960), ((11, 3, 0), 524288)]
)
@pytest.mark.parametrize("name", ["libvirt_version", "installed"])
def test_the_limit_is_that_of_the_release(name: str, release: tuple[int, ...], limit: int) -> None:
    """The one that is told, or installed: its unit says so."""
    options = Options(**{name: release})  # type: ignore[arg-type]
    most = (limit - 16) // 2
    assert in_file(DESCRIPTORS, f"max_clients = {most}\n", options=options) == []
    (found,) = in_file(DESCRIPTORS, f"max_clients = {most + 1}\n", options=options)
    assert f"virtlockd may have {limit}" in found.finding.message


def test_the_default_needs_descriptors_too() -> None:
    """Where the limit was never raised, as when virtlockd is started by hand."""
    (found,) = in_file(DESCRIPTORS, "", options=Options(descriptor_limit=1024))
    assert "default" in found.finding.message
    assert found.finding.place is None
    assert in_file(DESCRIPTORS, "") == []
    assert in_file(DESCRIPTORS, "max_clients = 99999999999999999999\n") == []


# --- LK304 and LK305 ------------------------------------------------------------------------
# What virtlockd says of many more is in tests/real/test_log_grammar.py.


def said(rule: str, value: str) -> list[tuple[str, str]]:
    """The severity and message for a value of the setting that a rule is about."""
    key = "log_filters" if rule == FILTERS else "log_outputs"
    return [
        (found.finding.severity, found.finding.message)
        for found in in_file(rule, f'{key} = """{value}"""\n')
    ]


@pytest.mark.parametrize(
    "value", ["", " ", "1:qemu", " 4:a  3:b ", "+2:x", "1:+locking", "1:*", "01:util.json", "\t1:x"]
)
def test_filters_that_are_fine(value: str) -> None:
    """Spaces separate, and there may be any number of them."""
    assert said(FILTERS, value) == []


@pytest.mark.parametrize(
    ("value", "severity", "part"),
    [
        ("5:x", "error", "'5:x' is none of 1, 2, 3 and 4"),
        ("debug:x", "error", "none of 1, 2, 3 and 4"),
        ("locking", "error", "no colon"),
        ("1: locking", "error", "names no part"),
        ("1:+", "error", "names no part"),
        ("1:qemu,2:util", "warning", "'qemu,2'"),
        ("1:a\t2:b", "warning", "'a?2'"),
        ("1:a:b", "warning", "up to its second colon"),
        ("1:a:b 9:c", "error", "'9:c'"),
        ("x" * 500, "error", "'" + "x" * 60 + "…'"),
    ],
)
def test_filters_that_are_not(value: str, severity: str, part: str) -> None:
    """What virtlockd refuses is an error, what can match nothing a warning."""
    ((is_severity, message),) = said(FILTERS, value)
    assert is_severity == severity
    assert part in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "value",
    ["", "3:stderr", "1:journald 2:syslog:a", "3:syslog:", "3:file:/a/b", " 3:stderr  4:stderr "],
)
def test_outputs_that_are_fine(value: str) -> None:
    """One of each kind."""
    assert said(OUTPUTS, value) == []


@pytest.mark.parametrize(
    ("value", "severity", "part"),
    [
        ("stderr", "error", "no colon"),
        ("0:stderr", "error", "none of 1, 2, 3 and 4"),
        ("3:stdout", "error", "no log destination 'stdout'"),
        ("3:syslog", "error", "level:syslog:name"),
        ("3:stderr:", "error", "level:stderr"),
        ("3:syslog:a:b", "error", "level:syslog:name"),
        ("3:file:", "error", "names no file"),
        ("3:file:virtlockd.log", "warning", "not an absolute path"),
        ("3:stderr,3:journald", "error", "'stderr,3'"),
    ],
)
def test_outputs_that_are_not(value: str, severity: str, part: str) -> None:
    """What virtlockd refuses is an error."""
    ((is_severity, message),) = said(OUTPUTS, value)
    assert is_severity == severity
    assert part in message


def test_a_misspelt_destination_comes_with_the_right_one() -> None:
    """As a misspelt choice of any setting does."""
    (found,) = in_file(OUTPUTS, 'log_outputs = "3:journal"\n')
    assert found.finding.help == "did you mean 'journald'?"


@pytest.mark.parametrize(
    ("release", "severity", "says"),
    [
        ((7, 0, 0), "warning", "virtlockd 7.0.0 starts as if there were no {key}"),
        ((8, 0, 0), "error", "virtlockd 8.0.0 may not start"),
        ((9, 0, 0), "error", "virtlockd does not start"),
        ((12, 8, 0), "error", "virtlockd does not start"),
    ],
)
@pytest.mark.parametrize(("rule", "key"), [(FILTERS, "log_filters"), (OUTPUTS, "log_outputs")])
def test_what_comes_of_a_bad_log_setting_depends_on_the_release(
    rule: str, key: str, release: tuple[int, ...], severity: str, says: str
) -> None:
    """Of the lock daemon that reads it."""
    options = Options(libvirt_version=release)
    (found,) = in_file(rule, f'{key} = "9:stderr"\n', options=options)
    assert found.finding.severity == severity
    assert f": {says.format(key=key)}" in found.finding.message


def test_a_filter_with_two_colons_is_none_for_the_oldest() -> None:
    """Others read it up to the second one."""
    for release, says in (((7, 0, 0), "uses no filter at all"), ((9, 0, 0), "second colon only")):
        text = 'log_filters = "1:a:b"\n'
        (found,) = in_file(FILTERS, text, options=Options(libvirt_version=release))
        assert found.finding.severity == "warning"
        assert says in found.finding.message


@pytest.mark.parametrize("rule", [FILTERS, OUTPUTS])
def test_only_what_virtlockd_reads_is_looked_at(rule: str) -> None:
    """Of duplicates the first; what is not a string has another finding."""
    key = "log_filters" if rule == FILTERS else "log_outputs"
    assert in_file(rule, f'{key} = ""\n{key} = "nonsense"\n') == []
    assert in_file(rule, f"{key} = 5\n") == []


# --- all ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [ZERO, DESCRIPTORS, FILTERS, OUTPUTS])
def test_other_files_are_none_of_their_business(rule: str) -> None:
    """A setting of virtlockd.conf in another file is LK103's."""
    text = 'max_clients = 0\nlog_filters = "x"\nlog_outputs = "x"\n'
    options = Options(descriptor_limit=16)
    for name in KINDS:
        assert bool(in_file(rule, text, options=options, name=name)) == (
            name == "virtlockd.conf" and rule != DESCRIPTORS
        )


@pytest.mark.parametrize("rule", [ZERO, DESCRIPTORS, FILTERS, OUTPUTS])
def test_the_sample_is_fine(rule: str) -> None:
    """As it is installed, and with all of its samples in force."""
    document = load_file(SAMPLES / "virtlockd.conf")
    assert list(rule_module(rule).check(FileSubject(document), Options())) == []
    text = (SAMPLES / "virtlockd.conf").read_text()
    for key in ("log_filters", "log_outputs", "max_clients", "admin_max_clients"):
        text = text.replace(f"#{key}", key)
    assert in_file(rule, text) == []
