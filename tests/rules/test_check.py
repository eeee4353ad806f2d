"""What a check of one file finds, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lockcfg.conf.files import KINDS
from lockcfg.conf.load import parse
from lockcfg.errors import ConfSyntaxError
from lockcfg.rules import check, syntax_finding

if TYPE_CHECKING:
    from lockcfg.findings import Finding


def findings(text: str | bytes, name: str = "qemu.conf") -> list[Finding]:
    """The findings of a file."""
    data = text.encode() if isinstance(text, str) else text
    return check(parse(data, KINDS[name], name))


def only(text: str | bytes, name: str = "qemu.conf") -> tuple[str, str, int, int, str]:
    """The one finding: rule, severity, line, column, help."""
    (finding,) = findings(text, name)
    assert finding.place is not None
    return (
        finding.rule,
        finding.severity,
        finding.place.line,
        finding.place.column,
        finding.help,
    )


def test_a_file_that_is_fine_has_none() -> None:
    """Comments that look like settings are no settings."""
    assert findings('# lock_managr = 5\nlock_manager = "lockd" # user = 5\n') == []
    assert findings("") == []


def test_an_unknown_key_comes_with_the_nearest_one() -> None:
    """libvirt ignores it without a warning."""
    assert only('\n  lock_managr = "lockd"\n') == (
        "unknown-key",
        "warning",
        2,
        3,
        "did you mean 'lock_manager'?",
    )
    assert only("zzz = 1\n")[4] == ""


def test_a_file_with_very_many_unknown_keys() -> None:
    """All are found; to look for the nearest ones would take too long for more than some."""
    found = findings("".join(f"lock_managr{'x' * (n % 3)}{n} = 1\n" for n in range(150)))
    assert [each.rule for each in found].count("unknown-key") == 150
    assert [bool(each.help) for each in found if each.rule == "unknown-key"] == [True] * 100 + [
        False
    ] * 50


def test_a_key_of_another_file_is_told_where_it_belongs() -> None:
    """The most frequent way to have no protection."""
    assert only('lock_manager = "lockd"\n', "qemu-lockd.conf") == (
        "wrong-file",
        "warning",
        1,
        1,
        "move it to qemu.conf",
    )
    assert only("max_clients = 5\n")[4] == "move it to virtlockd.conf"


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("lock_manager = 5", 16),
        ('lock_manager = [ "lockd" ]', 16),
        ('max_files = "5"', 13),
        ("max_files = -1", 13),
        ("mac_filter = -0", 14),
        ('mac_filter = "1"', 14),
        ('cgroup_controllers = [ "cpu", 5 ]', 22),
        ('cgroup_controllers = "cpu"', 22),
        ("max_core = -5", 12),
    ],
)
def test_a_value_of_the_wrong_type_is_fatal(line: str, column: int) -> None:
    """libvirt has unsigned integers, and its booleans are among them."""
    assert only(f"{line}\n")[:4] == ("wrong-type", "error", 1, column)


@pytest.mark.parametrize(
    "line",
    [
        'security_driver = "none"',
        'security_driver = [ "none", "selinux" ]',
        'max_core = "unlimited"',
        "max_core = 5",
        "keepalive_interval = -1",
        "max_files = +5",
        "cgroup_controllers = [ ]",
    ],
)
def test_a_setting_may_have_more_than_one_type(line: str) -> None:
    """As libvirt reads it."""
    assert findings(f"{line}\n") == []


def test_a_value_out_of_range_or_none_of_the_choices() -> None:
    """With the choice that was probably meant."""
    assert only('lock_manager = "lockdd"\n') == (
        "bad-value",
        "error",
        1,
        16,
        "did you mean 'lockd'?",
    )
    assert only("mac_filter = 2\n")[:2] == ("bad-value", "error")
    assert only("log_level = 5\n", "virtlockd.conf")[:1] == ("bad-value",)
    assert only('file_lockspace_dir = "locks"\n', "qemu-lockd.conf")[:1] == ("bad-value",)


def test_an_integer_of_more_than_64_bits_is_an_error() -> None:
    """libvirt reads another number, silently."""
    rules = [finding.rule for finding in findings("max_files = 18446744073709551616\n")]
    assert rules[0] == "integer-overflow"
    assert [finding.rule for finding in findings(f"foo = {'9' * 5000}\n")] == [
        "unknown-key",
        "integer-overflow",
    ]


@pytest.mark.parametrize(
    ("integer", "old", "new"),
    [
        ("9223372036854775807", 0, 0),
        ("9223372036854775808", 0, 1),
        ("18446744073709551615", 0, 1),
        ("18446744073709551616", 1, 1),
        ("-9223372036854775807", 0, 0),
        ("-9223372036854775808", 0, 1),
        ("-9223372036854775809", 1, 1),
    ],
)
def test_newer_libvirt_refuses_more(integer: str, old: int, new: int) -> None:
    """What is not known of a release in between is not safe."""
    document = parse(
        f"foo = {integer}\nbar = [ 1, {integer} ]\n".encode(), KINDS["qemu.conf"], "here"
    )
    for release, expected in (
        ((7, 0, 0), old),
        ((9, 0, 0), old),
        ((10, 0, 0), new),
        ((11, 3, 0), new),
        (None, new),
    ):
        found = [f for f in check(document, release) if f.rule == "integer-overflow"]
        assert len(found) == 2 * expected, release
        assert all("9.0 " in f.message and "11.3 refuses" in f.message for f in found)


def test_an_integer_that_is_not_in_force() -> None:
    """libvirt 9.0 does not use it, 11.3 refuses the file all the same."""
    text = b"max_files = 1\nmax_files = 99999999999999999999\n"
    document = parse(text, KINDS["qemu.conf"], "here")
    assert [f.rule for f in check(document, (9, 0, 0))] == ["duplicate-key"]
    assert {f.rule for f in check(document, (11, 3, 0))} == {"duplicate-key", "integer-overflow"}


@pytest.mark.parametrize("key", ["max_clients", "admin_max_clients"])
def test_more_clients_than_libvirt_can_count(key: str) -> None:
    """virtlockd does not start with it, though it does with 0."""
    (finding,) = findings(f"{key} = 4294967296\n", "virtlockd.conf")
    assert (finding.rule, finding.severity) == ("bad-value", "error")
    assert "refuses to start" in finding.message
    assert findings(f"{key} = 4294967295\n", "virtlockd.conf") == []


def test_a_duplicate_is_dead() -> None:
    """And the finding says which line wins."""
    (finding,) = findings('user = "a"\n\nuser = "b"\n')
    assert finding.rule == "duplicate-key"
    assert finding.place is not None
    assert (finding.place.line, finding.place.column) == (3, 1)
    assert "line 1" in finding.message


def test_bytes_that_are_not_utf8() -> None:
    """In a value they matter, in a comment they do not."""
    assert only(b'user = "caf\xe9"\n')[:4] == ("not-utf8", "warning", 1, 8)
    assert findings(b'# caf\xe9\nuser = "a" # \xe9\n') == []


def test_a_password_is_in_no_message() -> None:
    """Not even where it is the error."""
    for text in ("vnc_password = 12345678\n", 'vnc_password = [ "hunter2" ]\n'):
        (finding,) = findings(text)
        assert "hunter2" not in finding.message + finding.help
        assert "12345678" not in finding.message + finding.help


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ("user = \n", 1, 8, "expecting a value"),
        ("user = root\n", 1, 8, "expecting a value"),
        ('user = "root\n', 1, 8, "unterminated string"),
        ("user = 'root\n", 1, 8, "unterminated string"),
        ('user = "a" "b"\n', 1, 12, "expecting a separator"),
        ('\nuser "a"\n', 2, 6, "expecting an assignment"),
        ("= 5\n", 1, 1, "expecting a name"),
        ('namespaces = [ "a"\n"b" ]\n', 2, 1, "expecting a separator in list"),
        ('namespaces = [ "a"\n', 2, 1, "list is not closed with ]"),
        ("namespaces = [ [ ] ]\n", 1, 16, "a list inside a list"),
        ("max_files = -\n", 1, 14, "unterminated number"),
        ("\n\n", 3, 1, "expecting a name"),
    ],
)
def test_where_and_why_a_file_cannot_be_parsed(
    text: str, line: int, column: int, reason: str
) -> None:
    """The reasons are libvirt's own."""
    with pytest.raises(ConfSyntaxError) as caught:
        findings(text)
    error = caught.value
    assert error.reason == reason
    assert (error.place.line, error.place.column) == (line, column)
    assert error.help
    assert syntax_finding(error).severity == "error"
