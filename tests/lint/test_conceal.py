"""What a finding or a diff may show of a line, and what is a password on it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lockcfg.conf.document import decode
from lockcfg.conf.files import KINDS
from lockcfg.conf.load import load_file, parse
from lockcfg.conf.settings import settings_of
from lockcfg.errors import ConfSyntaxError
from lockcfg.lint.conceal import HIDDEN, PasswordFilter
from tests.conftest import SAMPLES
from tests.lint import lint, write
from tests.lint.passwords import PLANTS, planted

if TYPE_CHECKING:
    from pathlib import Path

    from lockcfg.conf.document import Document

SECRETS = ("Xq7Geheim", "8642097531")


def shown(text: bytes) -> list[str]:
    """The lines of a qemu.conf as they may be shown."""
    document: Document | None = None
    with contextlib.suppress(ConfSyntaxError):
        document = parse(text, KINDS["qemu.conf"], "qemu.conf")
    return [line for line, _ in PasswordFilter(text, document).lines(decode(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('vnc_password = "x"', [f"vnc_password = {HIDDEN}"]),
        ('user = "x"; vnc_password="y"; a = 1', [f'user = "x"; vnc_password = {HIDDEN}']),
        ('# vnc_password = "x"', [f"# vnc_password = {HIDDEN}"]),
        (
            'vnc_password = [\n "x"\n ]\na = 1',
            [f"vnc_password = {HIDDEN}", HIDDEN, HIDDEN, "a = 1"],
        ),
        ('VNC_PASSWD = "x"', [f"VNC_PASSWD = {HIDDEN}"]),
        ('vnc_pssword = "x"', [f"vnc_pssword = {HIDDEN}"]),
        ("vnc_password x", [f"vnc_password = {HIDDEN}"]),
        ('vnc_password = """x\ny', [f"vnc_password = {HIDDEN}", HIDDEN]),
    ],
)
def test_what_is_hidden(text: str, expected: list[str]) -> None:
    """From the name of a password on."""
    assert shown(text.encode()) == expected


@pytest.mark.parametrize(
    "line",
    [
        'lock_manager = "lockd"',
        'default_tls_x509_secret_uuid = "00000000-0000-0000-0000-000000000000"',
        "# The VNC password. Only the first 8 letters are significant.",
        'vnc_tls = 1; user = "x"  # why',
        'user = "passage"',
        "",
    ],
)
def test_what_is_shown(line: str) -> None:
    """All else, so that a report is of use; also in a file that cannot be parsed."""
    assert shown(line.encode()) == [line]
    assert shown(f"{line}\nuser = x\n".encode())[0] == line


def test_the_secret_settings_are_known() -> None:
    """By their names in the schemas."""
    for kind in KINDS.values():
        for key, setting in settings_of(kind).items():
            assert (shown(f'{key} = "x"'.encode()) == [f"{key} = {HIDDEN}"]) == setting.secret, key


@pytest.mark.parametrize("name", sorted(KINDS))
def test_of_libvirts_samples_only_passwords_are_hidden(name: str) -> None:
    """Which are commented out there."""
    document = load_file(SAMPLES / name)
    text = document.text or b""
    lines = PasswordFilter(text, document).lines(decode(text))
    hidden = [line for shown, line in lines if shown != line]
    assert hidden == [line for line in decode(text).splitlines() if "_password =" in line]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("number", range(len(PLANTS)))
def test_no_plant_shows(tmp_path: Path, number: int, secret: str) -> None:
    """In any line of a finding, and nothing of a finding depends on the password: so none can
    be found out by trying. A fix that may write one is known as secret."""
    found = []
    for password in (secret, secret[::-1]):
        write(tmp_path, {"qemu.conf": planted(number, password)})
        result = lint(tmp_path)
        for diagnostic in result.diagnostics:
            assert password not in repr(diagnostic.finding)
            assert password not in repr(diagnostic.suppression)
            fix = diagnostic.fix
            assert fix is None or fix.secret or password not in repr(fix)
        found.append([(d.code, d.finding, d.fingerprint) for d in result.diagnostics])
    assert found[0] == found[1]


@example(before="", name="vnc_password", opening=" ", after="PAS=")
@given(
    before=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
    name=st.sampled_from(["vnc_password", "vnc_pasword", "SPICE_PASSWORD", "rdp_passwd", "pwd"]),
    opening=st.sampled_from([" = '", '="', " = [ '", "=[\n'", ' = """a\n', " = ", " ", ": "]),
    after=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
)
def test_no_odd_file_shows_a_password(before: str, name: str, opening: str, after: str) -> None:
    """Whatever is around it."""
    text = f"{before}\n{name}{opening}Geheim1{after}"
    assert "Geheim1" not in "\n".join(shown(text.encode()))
