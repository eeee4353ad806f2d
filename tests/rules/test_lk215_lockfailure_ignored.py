"""LK215 lockfailure-ignored: what the examples of its manual do not show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.lint import codes, host, lint, paths, write

if TYPE_CHECKING:
    from pathlib import Path


def guest(says: str) -> str:
    """The description of a guest."""
    return f"<domain>\n  <name>web1</name>\n  <on_lockfailure>{says}</on_lockfailure>\n</domain>\n"


ONE = guest("pause")


def found(top: Path, **settings: Any) -> list[str]:
    """Where the rule finds something."""
    return paths(lint(top, select=["LK215"], **settings), top)


def test_each_guest_of_each_host_is_told(tmp_path: Path) -> None:
    """Of both drivers, where libvirt has the descriptions; hosts that are alike have one each."""
    write(tmp_path, {**host("a"), **host("b"), **host("c"), "c/libxl.conf": LOCKD})
    names = ["a/qemu/web1.xml", "a/qemu/web2.xml", "b/qemu/web1.xml", "c/libxl/xen.xml"]
    write(tmp_path, dict.fromkeys(names, ONE))
    write(tmp_path, {"a/qemu/networks/default.xml": ONE, "a/guests/web3.xml": ONE})
    assert found(tmp_path) == names
    result = lint(tmp_path, select=["LK215"])
    assert (result.files, result.hosts) == (11, 3)
    finding = result.diagnostics[0].finding
    assert finding.place is not None
    assert (finding.place.line, finding.place.column) == (3, 3)
    assert "web1" in finding.message


LOCKD = 'lock_manager = "lockd"\n'


@pytest.mark.parametrize("says", ["ignore", "", "default", "nonsense"])
def test_a_guest_that_wants_nothing_is_none(tmp_path: Path, says: str) -> None:
    """Nothing is lost for it."""
    write(tmp_path, {**host("a"), "a/qemu/web1.xml": guest(says)})
    assert found(tmp_path) == []


@pytest.mark.parametrize("qemu", ["", 'lock_manager = "sanlock"\n', 'lock_manager = "nop"\n'])
def test_another_lock_manager_is_not_meant(tmp_path: Path, qemu: str) -> None:
    """sanlock obeys it, and where nothing is locked other rules speak."""
    write(tmp_path, {**host("a", qemu=qemu), "a/qemu/web1.xml": ONE})
    assert found(tmp_path) == []


@pytest.mark.parametrize("name", ["lockd.conf", "lockd.conf.j2", "lockd.conf.age"])
def test_a_host_with_the_engine_is_left_alone(tmp_path: Path, name: str) -> None:
    """And no other one for its sake."""
    write(tmp_path, {**host("a"), "a/qemu/web1.xml": ONE, f"a/{name}": ""})
    write(tmp_path, {**host("b"), "b/qemu/web1.xml": ONE, "b/lockd.conf.bak": ""})
    assert found(tmp_path) == ["b/qemu/web1.xml"]


def test_it_can_be_excluded_and_waived(tmp_path: Path) -> None:
    """As any other file."""
    write(tmp_path, {**host("a"), "a/qemu/web1.xml": ONE, "a/qemu/web2.xml": ONE})
    assert found(tmp_path, exclude=["web2.xml"]) == ["a/qemu/web1.xml"]
    assert found(tmp_path, exclude=["a/qemu"]) == []
    assert found(tmp_path, per_path=[("a/qemu/web1.xml", ["LK215"])]) == ["a/qemu/web2.xml"]


def test_a_template_of_the_driver_s_file_says_nothing(tmp_path: Path) -> None:
    """Its lock manager is not known."""
    write(tmp_path, {"a/qemu.conf": 'lock_manager = "{{ it }}"\n', "a/qemu/web1.xml": ONE})
    assert found(tmp_path) == []


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A description that is no XML is passed over with a note; a file that is none at all is
    not read."""
    write(tmp_path, {**host("a"), "a/qemu/web1.xml": "<domain><on_lockfailure>pause"})
    (tmp_path / "a/qemu/web2.xml").mkdir()
    result = lint(tmp_path)
    assert codes(result) == []
    assert [path for path, _ in result.notes] == [f"{tmp_path}/a/qemu/web1.xml"]
    assert [path for path, _ in result.unreadable] == [f"{tmp_path}/a/qemu/web2.xml"]


def test_several_processes_find_the_same(tmp_path: Path) -> None:
    """Hosts with the same guests are read apart from each other."""
    for number in range(12):
        write(tmp_path, {**host(f"h{number:02}"), f"h{number:02}/qemu/web{number % 3}.xml": ONE})
    from lockcfg.lint.engine import Linter
    from lockcfg.lint.settings import LintSettings

    run = LintSettings(str(tmp_path), select=["LK215"])
    result = Linter(run, processes=2).run([str(tmp_path)])
    assert paths(result, tmp_path) == found(tmp_path)
    assert len(result.diagnostics) == 12
