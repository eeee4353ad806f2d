"""Which files are found, in which layouts, and what is passed over."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

import pytest

from lockcfg.conf.document import Document
from lockcfg.conf.files import KINDS
from lockcfg.errors import ConfSyntaxError
from lockcfg.lint.discover import TEMPLATE_SUFFIXES, recognise
from tests.lint import codes, host, lint, paths, write

if TYPE_CHECKING:
    from pathlib import Path

#: Something to be found, in a file of any kind.
BAD = "no_such_setting_at_all = 1\n"

#: What is said of a template.
PASSED_OVER = "a template, passed over"


def found(top: Path, *names: str) -> list[str]:
    """The files in which the run found what stands in every file of ours."""
    return paths(lint(top, [top / name for name in names], select=["LK102"]), top)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    "directory",
    [
        "",
        "etc/libvirt/",
        "hosts/kvm01/",
        "hosts/kvm01/etc/libvirt/",
        "roles/libvirt/files/",
        "roles/libvirt/files/etc/libvirt/",
        "modules/libvirt/files/",
        "dot_config/libvirt/",
        ".config/libvirt/",
        "libvirt/.config/libvirt/",
        "a b/ä/\n/",
    ],
)
def test_files_are_found_by_name_in_any_layout(tmp_path: Path, directory: str, name: str) -> None:
    """One host's root, host directories, a role of Ansible, dotfiles, odd names."""
    write(tmp_path, {f"{directory}{name}": BAD, f"{directory}{name}.bak": BAD})
    assert found(tmp_path) == [f"{directory}{name}"]


def test_other_names_are_not_ours(tmp_path: Path) -> None:
    """Not what only looks like them either."""
    for name in ("libvirtd.conf", "qemu.conf.rpmnew", "my-qemu.conf", "QEMU.conf", "qemu.conf~"):
        write(tmp_path, {name: BAD})
    result = lint(tmp_path)
    assert (result.files, result.hosts, codes(result)) == (0, 0, [])


@pytest.mark.parametrize(
    "directory", [".git", ".hg", ".svn", ".venv", "node_modules", "__pycache__"]
)
def test_what_is_nobodys_is_passed_over(tmp_path: Path, directory: str) -> None:
    """At any depth; unless it is asked for."""
    write(tmp_path, {f"a/{directory}/b/qemu.conf": BAD})
    assert found(tmp_path) == []
    assert found(tmp_path, f"a/{directory}") == [f"a/{directory}/b/qemu.conf"]


def test_what_is_excluded_is_not_looked_into(tmp_path: Path) -> None:
    """Directories and files, by globs of paths below the settings."""
    names = ("old/a/qemu.conf", "a/qemu.conf", "a/libxl.conf", "b/old/qemu.conf", "b/x.d/qemu.conf")
    write(tmp_path, dict.fromkeys(names, BAD))
    exclude = ["old", "*.d", "a/libxl.conf"]
    assert paths(lint(tmp_path, select=["LK102"], exclude=exclude), tmp_path) == ["a/qemu.conf"]


def test_where_the_repository_is_makes_no_difference(tmp_path: Path) -> None:
    """A glob is about what is in the repository, and not about what that is in."""
    top = write(tmp_path / "hosts/ci", {"kvm01/qemu.conf": BAD, "hosts/old/qemu.conf": BAD})
    assert paths(lint(top, select=["LK102"], exclude=["hosts/*"]), top) == ["kvm01/qemu.conf"]


@pytest.mark.parametrize("suffix", TEMPLATE_SUFFIXES)
def test_a_template_is_known_by_its_name(tmp_path: Path, suffix: str) -> None:
    """And noted."""
    write(tmp_path, {f"templates/qemu.conf{suffix}": "{{ what }} ever", f"other{suffix}": ""})
    result = lint(tmp_path)
    assert (codes(result), result.files) == ([], 0)
    assert result.notes == ((f"{tmp_path}/templates/qemu.conf{suffix}", PASSED_OVER),)


@pytest.mark.parametrize(
    "mark", ["{{ lock_manager }}", "{% if x %}", "<%= @lock_manager %>", "<%- if x -%>", "{{x}}"]
)
def test_a_template_is_known_by_what_is_in_it(tmp_path: Path, mark: str) -> None:
    """What is in a role of Ansible has often no name of a template."""
    write(tmp_path, {**host("a"), "b/qemu.conf": f"max_files = 1\nlock_manager = {mark}\n"})
    result = lint(tmp_path)
    assert codes(result) == []
    assert result.notes == ((f"{tmp_path}/b/qemu.conf", PASSED_OVER),)
    assert result.hosts == 1


@pytest.mark.parametrize(
    "text", ['user = "{"\ngroup = "{"\n', 'user = "{ {"\n', "# }} {{\n", "", '# %>\nuser = "<"\n']
)
def test_what_is_no_template(text: str) -> None:
    """Braces alone make none."""
    assert isinstance(recognise(text.encode(), KINDS["qemu.conf"], "qemu.conf"), Document)


@pytest.mark.parametrize("piece", [b"{{ ", b"{{", b"<% {% {{", b"{", b"{% a"])
def test_a_hostile_file_is_no_riddle(piece: bytes) -> None:
    """Many openings and no end, on one line, take no more time than to read them."""
    text = piece * (1024 * 1024 // len(piece))
    start = time.process_time()
    with pytest.raises(ConfSyntaxError):
        recognise(text, KINDS["qemu.conf"], "qemu.conf")
    assert time.process_time() - start < 1


def test_loops_of_links_are_not_walked(tmp_path: Path) -> None:
    """Neither to a directory above nor to itself; the rest is found."""
    write(tmp_path, {"a/qemu.conf": BAD, "b/virtlockd.conf": BAD})
    (tmp_path / "a/up").symlink_to("..")
    (tmp_path / "a/self").symlink_to("self")
    (tmp_path / "linked").symlink_to("a")
    assert found(tmp_path) == ["a/qemu.conf", "b/virtlockd.conf"]
    assert found(tmp_path, "linked") == ["linked/qemu.conf"]


def test_a_file_that_is_a_loop_of_links_hides_nothing(tmp_path: Path) -> None:
    """It cannot be read, and the files beside it can."""
    write(tmp_path, {"a/virtlockd.conf": BAD, "a/b/qemu.conf": BAD})
    (tmp_path / "a/qemu.conf").symlink_to("qemu.conf")
    result = lint(tmp_path, select=["LK102"])
    assert paths(result, tmp_path) == ["a/b/qemu.conf", "a/virtlockd.conf"]
    ((path, why),) = result.unreadable
    assert path == str(tmp_path / "a/qemu.conf")
    assert "Too many levels of symbolic links" in why


def test_what_is_in_the_place_of_a_file(tmp_path: Path) -> None:
    """A socket, a pipe, a link to nowhere: said, and nothing hangs. A directory is looked into
    or not, but it is not a file."""
    for name in ("socket", "pipe", "nowhere", "directory", "null"):
        (tmp_path / name).mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(tmp_path)  # the name of a socket is short
        server.bind("socket/qemu.conf")
    os.mkfifo(tmp_path / "pipe/qemu.conf")
    (tmp_path / "nowhere/qemu.conf").symlink_to("gone")
    (tmp_path / "null/qemu.conf").symlink_to("/dev/null")
    (tmp_path / "directory/qemu.conf").mkdir()
    write(tmp_path, host("z"))
    result = lint(tmp_path)
    assert (codes(result), result.files) == ([], 2)
    reasons = {path.removeprefix(f"{tmp_path}/"): why for path, why in result.unreadable}
    assert reasons == {
        "socket/qemu.conf": "is a socket or a device, not a regular file",
        "pipe/qemu.conf": "is a pipe, not a regular file",
        "nowhere/qemu.conf": "is a symbolic link to gone, which is not there",
        "null/qemu.conf": "is a device, not a regular file",
    }


def test_a_file_that_vanishes_is_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the walk and the look at it; the others are looked at."""
    write(tmp_path, {"a/qemu.conf": BAD, "b/qemu.conf": BAD})
    from lockcfg.conf.load import read_bytes

    def read(path: str) -> bytes:
        (tmp_path / "a/qemu.conf").unlink(missing_ok=True)
        return read_bytes(path)

    monkeypatch.setattr("lockcfg.lint.reading.read_bytes", read)
    result = lint(tmp_path, select=["LK102"])
    assert paths(result, tmp_path) == ["b/qemu.conf"]
    assert result.unreadable == ((str(tmp_path / "a/qemu.conf"), "No such file or directory"),)


def test_a_directory_that_vanishes_is_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its name and its look."""
    write(tmp_path, {"a/qemu.conf": BAD, "b/x": ""})
    from lockcfg.conf.load import read_bytes

    def read(path: str) -> bytes:
        (tmp_path / "b/x").unlink(missing_ok=True)
        if (tmp_path / "b").exists():
            (tmp_path / "b").rmdir()
        return read_bytes(path)

    monkeypatch.setattr("lockcfg.lint.reading.read_bytes", read)
    result = lint(tmp_path, select=["LK102"])
    assert paths(result, tmp_path) == ["a/qemu.conf"]
    assert result.unreadable == ((str(tmp_path / "b"), "No such file or directory"),)


def test_a_file_is_looked_at_once(tmp_path: Path) -> None:
    """However often and in whatever way it is named."""
    write(tmp_path, {"hosts/a/qemu.conf": BAD})
    for names in (
        ("hosts", "hosts"),
        ("hosts", "hosts/a"),
        ("hosts/a", "hosts"),
        ("hosts", "hosts/a/qemu.conf"),
        ("hosts/a/qemu.conf", "hosts"),
        ("hosts/a/qemu.conf", "hosts/a/qemu.conf"),
    ):
        assert found(tmp_path, *names) == ["hosts/a/qemu.conf"], names
        assert lint(tmp_path, [tmp_path / name for name in names]).files == 1


def test_a_template_that_is_named_is_noted(tmp_path: Path) -> None:
    """As one that is found."""
    write(tmp_path, {"qemu.conf.j2": "{{ x }}"})
    result = lint(tmp_path, [tmp_path / "qemu.conf.j2"])
    assert result.notes == ((f"{tmp_path}/qemu.conf.j2", PASSED_OVER),)


def test_files_named_one_by_one_are_those_of_their_hosts(tmp_path: Path) -> None:
    """In any order, and with those of other hosts among them."""
    off = {"qemu": 'lock_manager = "nop"\n'}
    write(tmp_path, {**host("a", **off), **host("b"), **host("c", **off)})
    whole = lint(tmp_path, [tmp_path / "a", tmp_path / "b"])
    assert (codes(whole), whole.hosts) == (["LK203"], 2)
    names = ["b/qemu-lockd.conf", "a/qemu.conf", "b/qemu.conf", "a/qemu-lockd.conf"]
    for order in (names, names[::-1]):
        assert lint(tmp_path, [tmp_path / name for name in order]) == whole
    mixed = lint(tmp_path, [tmp_path / "b", tmp_path / names[1], tmp_path / names[3]])
    assert mixed == whole
    assert lint(tmp_path, [tmp_path / "a/qemu.conf", tmp_path / "a"]).hosts == 1


def test_a_file_named_alone_is_alone(tmp_path: Path) -> None:
    """What is beside it is not looked at."""
    write(tmp_path, host("a", qemu='lock_manager = "nop"\n'))
    result = lint(tmp_path, [tmp_path / "a/qemu.conf"])
    assert (codes(result), result.files, result.hosts) == (["LK202"], 1, 1)


def test_hosts_are_found_in_the_same_order_on_every_run(tmp_path: Path) -> None:
    """Whatever the order in which a file system lists them."""
    names = [f"hosts/{number * 7919 % 50:02}/qemu.conf" for number in range(50)]
    write(tmp_path, dict.fromkeys(names, BAD))
    first = lint(tmp_path)
    assert paths(first, tmp_path) == sorted(paths(first, tmp_path))
    again = lint(tmp_path)
    assert [d.fingerprint for d in first.diagnostics] == [d.fingerprint for d in again.diagnostics]
    assert first.diagnostics == again.diagnostics
