"""What is there and was not read is not absent: no finding rests on its absence."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from lockcfg.conf.elsewhere import file_elsewhere
from lockcfg.conf.files import KINDS
from lockcfg.conf.settings import kinds_anywhere_with
from lockcfg.errors import UnknownKeyError
from lockcfg.host.host import Host
from lockcfg.lint.discover import recognise
from lockcfg.rules.rule import Options
from tests.conftest import LOCKCFG, SAMPLES
from tests.lint import codes, lint, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOCKD = 'lock_manager = "lockd"\n'
FILES = 'file_lockspace_dir = "/srv/locks"\n'


def a_template(path: Path) -> None:
    path.write_text('user = "{{ user }}"\n')


def a_template_by_name(path: Path) -> None:
    path.with_name(f"{path.name}.j2").write_text("{{ all }}\n")


def encrypted(path: Path) -> None:
    path.write_text("$ANSIBLE_VAULT;1.1;AES256\n3834\n")


def encrypted_by_name(path: Path) -> None:
    path.with_name(f"{path.name}.age").write_bytes(b"\0")


def a_directory(path: Path) -> None:
    path.mkdir()


def a_link_to_nowhere(path: Path) -> None:
    path.symlink_to("gone")


UNREAD = (
    a_template,
    a_template_by_name,
    encrypted,
    encrypted_by_name,
    a_directory,
    a_link_to_nowhere,
)


@pytest.mark.parametrize("put", UNREAD)
def test_a_driver_file_that_was_not_read_is_there(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    """libxl.conf is not the only driver's file, and qemu-lockd.conf has a driver."""
    write(tmp_path, {"h/libxl.conf": "# nothing\n", "h/qemu-lockd.conf": FILES})
    assert codes(lint(tmp_path)) != []
    put(tmp_path / "h/qemu.conf")
    assert codes(lint(tmp_path)) == []


@pytest.mark.parametrize("put", UNREAD)
def test_a_file_of_lockd_that_was_not_read_is_there(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    """It may name lockspaces, and say how many clients there may be. That nothing is locked at
    all is plain without it."""
    write(tmp_path, {"h/qemu.conf": LOCKD, "n/qemu.conf": 'lock_manager = "nop"\n'})
    options = Options(guests=5000)
    before = codes(lint(tmp_path, options=options))
    assert before == ["LK207", "LK301", "LK202"]
    for host in "hn":
        put(tmp_path / host / "qemu-lockd.conf")
        put(tmp_path / host / "virtlockd.conf")
    assert codes(lint(tmp_path, options=options)) == ["LK202"]


def test_a_file_that_is_excluded_is_there(tmp_path: Path) -> None:
    """It is just not looked at."""
    write(tmp_path, {"h/qemu.conf": LOCKD, "h/libxl.conf": "#\n", "h/libxl-lockd.conf": FILES})
    assert codes(lint(tmp_path, exclude=["h/qemu.conf"], select=["LK502"])) == []
    assert codes(lint(tmp_path, exclude=["h/libxl.conf"], select=["LK502"])) == []
    (tmp_path / "h/libxl.conf").unlink()
    assert codes(lint(tmp_path, select=["LK502"])) == ["LK502"]


def test_a_file_that_is_not_named_is_there(tmp_path: Path) -> None:
    """As before a commit, where only the files that were changed are named."""
    names = {"h/qemu.conf": LOCKD, "h/libxl.conf": LOCKD, "h/libxl-lockd.conf": FILES}
    write(tmp_path, {**names, "h/qemu-lockd.conf": FILES})
    some = [tmp_path / "h/qemu.conf", tmp_path / "h/libxl-lockd.conf"]
    assert codes(lint(tmp_path, some)) == []
    (tmp_path / "h/libxl.conf").unlink()
    (tmp_path / "h/qemu-lockd.conf").unlink()
    assert codes(lint(tmp_path, some)) == ["LK502", "LK207"]


#: Runs a command as the user 1000, whom root's capabilities do not follow.
AS_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000")


def test_what_a_user_may_not_read(tmp_path: Path) -> None:
    """On any Debian host: qemu.conf for root alone, the others for all users."""
    write(tmp_path, {f"etc/{name}": (SAMPLES / name).read_bytes() for name in KINDS})
    write(tmp_path, {"etc/qemu-lockd.conf": FILES})
    os.chown(tmp_path / "etc/qemu.conf", 65534, 65534)
    (tmp_path / "etc/qemu.conf").chmod(0o600)
    done = subprocess.run(
        [*AS_USER, LOCKCFG, "lint", tmp_path / "etc"], capture_output=True, text=True
    )
    assert done.returncode == 3
    assert "qemu.conf: error: cannot be read: Permission denied" in done.stdout
    assert (
        f"0 findings in {len(KINDS) - 1} files, 0 fixable, 0 suppressed, 1 unreadable"
        in done.stdout
    )


@pytest.mark.parametrize(
    ("text", "by"),
    [
        ("$ANSIBLE_VAULT;1.1;AES256\n62313365396662343061393464336163\n", "ansible-vault"),
        ("vnc_password = !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6231\n", "ansible-vault"),
        ("\0GITCRYPT\0\x01\x02", "git-crypt"),
        ("Salted__\x01\x02\0", "openssl"),
        ("U2FsdGVkX1+/AAAA\n", "openssl"),
        ('{"data": "ENC[AES256_GCM,data:aa,iv:bb,tag:cc,type:str]", "sops": {}}', "SOPS"),
        ("lock_manager=ENC[AES256_GCM,data:aa,type:str]\nsops_version=3.7\n", "SOPS"),
        ('lock_manager = "ENC[AES256_GCM,data:aa,type:str]"\n', "SOPS"),
        ("age-encryption.org/v1\n-> X25519 abc\n", "age"),
        ("-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n", "age"),
        ("-----BEGIN PGP MESSAGE-----\n\nhQEM\n", "gpg"),
        ("\x8c\x0d\x04\x09\x03\x02\xfd\xae\n\0", "gpg"),
        ("\x85\x01\x8c\x03\xd3\x10\n\0\x01\x02\x03\x04\x01\x0c", "gpg"),
        ("-----BEGIN PKCS7-----\nMII\n", "openssl"),
    ],
)
def test_an_encrypted_file_is_noted(tmp_path: Path, text: str, by: str) -> None:
    """As a template is, and is no error."""
    raw = text.encode("latin-1")
    write(tmp_path, {"h/qemu.conf": raw, "h/qemu-lockd.conf": FILES})
    result = lint(tmp_path)
    assert codes(result) == []
    assert result.notes == ((f"{tmp_path}/h/qemu.conf", f"encrypted ({by}), passed over"),)
    assert result.files == 1  # what was passed over was not checked


@pytest.mark.parametrize(
    "text",
    [
        "# {{ ansible_managed }}\nlock_managr = 1\n",
        "lock_managr = 1 # {{ ansible_managed }}\n",
        "# {{ ansible_managed | comment }}\n\n;lock_managr = 1\n",
        "# <%= @header %>\nlock_managr = 1\n",
        "# rendered from ${TEMPLATE}\nlock_managr = 1\n",
        "# {# a note\n# of two lines #}\nlock_managr = 1\n",
        'user = "${USER}"\nlock_managr = 1\n',
    ],
)
def test_a_mark_in_a_comment_makes_no_template(tmp_path: Path, text: str) -> None:
    """The file can be read, and its mistakes are found."""
    if text.startswith("# {{ ansible_managed | comment }}"):
        text = text.replace(";", "")
    write(tmp_path, {"qemu.conf": text})
    result = lint(tmp_path, select=["LK102"])
    assert (codes(result), result.notes) == (["LK102"], ())


@pytest.mark.parametrize(
    "text",
    [
        "lock_manager = ${LOCK_MANAGER}\n",
        "${EXTRA}\n",
        "{# a note\nof two lines #}\nmax_files = 1\n",
        "{#\n# a note\n#}\nmax_files = 1\n",
        "{% if a\n   and b %}\nmax_files = 1\n{% endif %}\n",
        "# {% if a %}\nmax_files = 1\n# {% endif %}\n",
        "max_files = {{ a\n | default(1) }}\n",
        'user = "{{ user }}"\n',
        "max_files = <%= @files %>\n",
        "<%# a note %>\nmax_files = 1\n",
        "{{ ansible_managed | comment }}\nmax_files = 1\n",
    ],
)
def test_what_has_to_be_filled_in_is_a_template(text: str) -> None:
    """Whether or not it could be read as it is."""
    assert recognise(text.encode(), KINDS["qemu.conf"], "qemu.conf") == "a template"


@pytest.mark.parametrize(
    "text",
    [
        b"user = {{ \0 }}\n",
        b"{% \xe9 %}\n",
        b"\x85\x01{%\0%}",
        b"\x8c{{\0\xff}}",
        b"\x84\0{# #}",
    ],
)
def test_bytes_are_neither_template_nor_encrypted_by_chance(tmp_path: Path, text: bytes) -> None:
    """No template language reads them: a finding tells of them."""
    write(tmp_path, {"qemu.conf": text})
    result = lint(tmp_path)
    assert (codes(result), result.notes) == (["LK101"], ())


@pytest.mark.parametrize(
    ("key", "home"),
    [
        ("listen_tcp", "libvirtd.conf"),
        ("auth_unix_rw", "virtqemud.conf"),
        ("max_size", "virtlogd.conf"),
        ("max_workers", "libvirtd.conf"),
        ("tls_port", "virtproxyd.conf"),
        ("firewall_backend", "network.conf"),
        ("uri_default", "libvirt.conf"),
        ("log_with_libvirtd", "lxc.conf"),
        ("VIRTLOCKD_ARGS", "/etc/default/virtlockd"),
    ],
)
@pytest.mark.parametrize("name", KINDS)
def test_a_setting_of_a_file_that_is_none_of_ours(
    tmp_path: Path, name: str, key: str, home: str
) -> None:
    """The report names the file that it belongs in, and takes it for no other setting."""
    write(tmp_path, {f"h/{name}": f"{key} = 1\n"})
    result = lint(tmp_path, select=["LK102", "LK103"])
    assert codes(result) == ["LK103"]
    finding = result.diagnostics[0].finding
    assert home in finding.message
    assert home in finding.help


def test_every_setting_of_libvirts_other_files_is_known() -> None:
    """As the samples that are installed have them, whichever the release has."""
    samples = sorted(SAMPLES.glob("*.conf"))
    assert {"libvirtd.conf", "virtlogd.conf", "libvirt.conf"} <= {path.name for path in samples}
    strange = [
        (path.name, key)
        for path in samples
        for key in re.findall(r"^#?([a-z][a-z0-9_]*) = ", path.read_text(), re.M)
        if not (file_elsewhere(key) or kinds_anywhere_with(key))
    ]
    assert strange == []


@pytest.mark.parametrize("key", ["log_root", "cert_files", "key_files"])
def test_a_setting_that_only_newer_releases_have(key: str) -> None:
    """It is known to every release: 9.0 has none of these in its samples."""
    assert file_elsewhere(key)


def test_set_of_a_setting_that_is_elsewhere() -> None:
    """It says so."""
    with pytest.raises(UnknownKeyError) as caught:
        Host().kind_of("listen_tcp")
    assert "libvirtd.conf" in caught.value.help
    assert "which lockcfg does not edit" in caught.value.help
