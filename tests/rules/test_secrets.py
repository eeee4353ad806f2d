"""The rules about passwords, which never give one away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockcfg.conf.files import KINDS
from lockcfg.conf.load import load_file, parse
from lockcfg.conf.settings import settings_of
from lockcfg.rules import rule_module
from lockcfg.rules.rule import FileSubject, Options
from tests.conftest import SAMPLES

if TYPE_CHECKING:
    from lockcfg.findings import Finding

TRACKED = "lk401_password_tracked"
READABLE = "lk402_password_readable"

SECRETS = [key for key, setting in settings_of(KINDS["qemu.conf"]).items() if setting.secret]


def findings(
    rule: str,
    text: str | bytes,
    *,
    mode: int | None = None,
    tracked: bool | None = None,
    name: str = "qemu.conf",
) -> list[Finding]:
    """What a rule finds in a file of which so much is known."""
    data = text.encode() if isinstance(text, str) else text
    subject = FileSubject(parse(data, KINDS[name], name), mode=mode, tracked=tracked)
    all_found = list(rule_module(rule).check(subject, Options()))
    assert all(found.fix is None for found in all_found)
    return [found.finding for found in all_found]


@pytest.mark.parametrize("key", SECRETS)
def test_a_password_in_version_control(key: str) -> None:
    """Any setting that a schema calls secret."""
    (finding,) = findings(TRACKED, f'user = "a"\n  {key} = "hunter2"\n', tracked=True)
    assert (finding.rule, finding.severity, finding.key) == ("password-tracked", "warning", key)
    assert finding.place is not None
    assert (finding.place.line, finding.place.column) == (2, 3)
    assert finding.place.length == len(key)
    assert findings(TRACKED, f'{key} = "hunter2"\n', tracked=False) == []
    assert findings(TRACKED, f'{key} = "hunter2"\n') == []


@pytest.mark.parametrize(
    "value", ['""', "[ ]", '"${VNC}"', '"@VNC_PASSWORD@"', '"$VNC"', '"{{ vnc }}"', '"<%= @vnc %>"']
)
def test_what_is_no_password(value: str) -> None:
    """Nothing, or what is filled in later."""
    assert findings(TRACKED, f"vnc_password = {value}\n", tracked=True) == []
    assert findings(READABLE, f"vnc_password = {value}\n", mode=0o644) == []


@pytest.mark.parametrize("value", ['"XYZ12345"', "12345678", '[ "hunter2" ]', '"""a\nb"""', "'@'"])
def test_what_is_one(value: str) -> None:
    """The sample that is in force is the password, and a wrong type does not hide one."""
    assert len(findings(TRACKED, f"vnc_password = {value}\n", tracked=True)) == 1


def test_a_dead_entry_is_a_password_too() -> None:
    """libvirt does not read it, users can."""
    text = 'vnc_password = "a"\nvnc_password = "b"\n'
    assert len(findings(TRACKED, text, tracked=True)) == 2


@pytest.mark.parametrize(
    "line",
    [
        '#vnc_password = "hunter2"',
        '  # vnc_password="hunter2"',
        "## vnc_password = 'hunter2' # old",
        'user = "a"  # vnc_password = "hunter2"',
    ],
)
def test_a_password_that_is_commented_out(line: str) -> None:
    """It can be read as well; whether the host's users can is not worth a finding."""
    (finding,) = findings(TRACKED, f"{line}\n", tracked=True)
    assert finding.place is not None
    assert finding.place.column == line.index("vnc_password") + 1
    assert "hunter2" not in repr(finding)
    assert findings(READABLE, f"{line}\n", mode=0o644) == []


@pytest.mark.parametrize(
    "line",
    [
        '#vnc_password = "XYZ12345"',
        '#rdp_password = "RDP12345"',
        '#vnc_password = ""',
        "# vnc_password = something nice",
        '# the default of vnc_password = "a" was taken away',
        "user = \"# vnc_password = 'a'\"",
    ],
)
def test_a_comment_that_is_none(line: str) -> None:
    """libvirt's samples, prose, and what is no comment."""
    assert findings(TRACKED, f"{line}\n", tracked=True) == []


@pytest.mark.parametrize(
    ("mode", "tracked", "expected"),
    [
        (0o644, False, True),
        (0o644, None, True),
        (0o604, None, True),
        (0o640, None, False),
        (0o600, None, False),
        (0o642, None, False),
        (None, None, False),
        (0o644, True, False),
    ],
)
def test_a_password_that_everybody_can_read(
    mode: int | None, tracked: bool | None, expected: bool
) -> None:
    """Version control has one mode for files, and its own finding."""
    found = findings(READABLE, 'vnc_password = "hunter2"\n', mode=mode, tracked=tracked)
    assert bool(found) == expected
    for finding in found:
        assert (finding.rule, finding.severity) == ("password-readable", "warning")
        assert "chmod 600 qemu.conf" in finding.help


#: What can be between double quotes and is long enough not to be in a message by chance.
PASSWORDS = st.text(
    st.characters(codec="utf-8", exclude_characters='"\r\n\0'),
    min_size=4,
).map(lambda text: f"Geheim-{text}")


@given(first=PASSWORDS, second=PASSWORDS, commented=st.booleans(), one_line=st.booleans())
def test_nothing_of_a_finding_holds_a_password(
    first: str, second: str, commented: bool, one_line: bool
) -> None:
    """Neither the message nor the line that a report would show, nor its neighbour on the line."""
    between = ";" if one_line and not commented else "\n"
    sign = "#" if commented else ""
    text = f'{sign}vnc_password = "{first}"{between}{sign}spice_password = "{second}"\n'
    for rule, tracked in ((TRACKED, True), (READABLE, False)):
        found = findings(rule, text, mode=0o644, tracked=tracked)
        assert len(found) == (0 if commented and rule == READABLE else 2)
        for finding in found:
            assert "Geheim" not in repr(finding)
            assert finding.place is not None
            place = finding.place
            shown = place.text[place.column - 1 : place.column - 1 + place.length]
            assert shown == finding.key


def test_files_without_passwords_are_fine() -> None:
    """The same name in another file is LK103's."""
    assert findings(TRACKED, 'vnc_password = "a"\n', tracked=True, name="virtlockd.conf") == []


@pytest.mark.parametrize("name", sorted(KINDS))
@pytest.mark.parametrize("rule", [TRACKED, READABLE])
def test_the_samples_are_fine(rule: str, name: str) -> None:
    """With any permissions, in any directory."""
    document = load_file(SAMPLES / name)
    for tracked in (True, False):
        subject = FileSubject(document, mode=0o644, tracked=tracked)
        assert list(rule_module(rule).check(subject, Options())) == []
