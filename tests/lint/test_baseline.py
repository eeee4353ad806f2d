"""The baseline: what it is written from, what it covers, and what is no baseline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockcfg.errors import ReadError
from lockcfg.lint.baseline import Baseline, render
from tests.lint import codes, host, lint, write

FINGERPRINT = "ab" * 32

#: A baseline with one entry that nothing meets.
OLD = {
    "version": 1,
    "findings": [
        {"fingerprint": FINGERPRINT, "path": "a/qemu.conf", "code": "LK105", "message": "old"}
    ],
}


def written(top: Path, **settings: Any) -> str:
    """Write known.json of what a run finds, and say where."""
    result = lint(top, **settings)
    relative = {d.finding.path: d.finding.path.removeprefix(f"{top}/") for d in result.diagnostics}
    write(top, {"known.json": render(result.counted, relative)})
    return str(top / "known.json")


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    """Two hosts, and two findings about one of them."""
    bad = 'nope = 1\nlock_manager = "lockd"\nmax_files = "5"\n'
    return write(tmp_path, {**host("a"), **host("b", qemu=bad)})


def test_old_findings_do_not_count_and_new_ones_do(hosts: Path) -> None:
    """Whatever else is in their files."""
    baseline = written(hosts)
    result = lint(hosts, baseline=baseline)
    assert codes(result) == []
    assert codes(result, suppressed=True) == ["LK102", "LK105"]
    assert {d.suppression.kind for d in result.diagnostics if d.suppression} == {"baseline"}
    write(hosts, {"b/virtlockd.conf": "nope = 1\n"})
    assert codes(lint(hosts, baseline=baseline)) == ["LK102"]


def test_old_findings_may_move(hosts: Path) -> None:
    """To other lines of their file; in another file they are new."""
    baseline = written(hosts)
    text = (hosts / "b/qemu.conf").read_text()
    write(hosts, {"b/qemu.conf": f"# a line\n\nuser = 'x'\n{text}"})
    result = lint(hosts, baseline=baseline, ignore=["LK110"])
    assert codes(result) == []
    write(hosts, {"a/qemu.conf": text})
    assert codes(lint(hosts, baseline=baseline, ignore=["LK110"])) == ["LK102", "LK105"]


def test_a_second_one_of_the_same_is_new(hosts: Path) -> None:
    """A finding for an entry."""
    write(hosts, {"b/qemu.conf": 'lock_manager = "lockd"\nnope = 1\n'})
    baseline = written(hosts)
    write(hosts, {"b/qemu.conf": 'lock_manager = "lockd"\nnope = 1\nnope = 1\n'})
    assert codes(lint(hosts, baseline=baseline, ignore=["LK104"])) == ["LK102"]


def test_what_is_not_found_any_more(hosts: Path) -> None:
    """An info reports it, for a fixed finding and for a file that is gone."""
    baseline = written(hosts)
    write(hosts, host("b", qemu='nope = 1\nlock_manager = "lockd"\n'))
    result = lint(hosts, baseline=baseline)
    assert codes(result) == ["LK904"]
    (stale,) = (d.finding for d in result.counted)
    assert (stale.severity, stale.path) == ("info", baseline)
    assert "LK105 in b/qemu.conf" in stale.message
    for path in (hosts / "b").iterdir():
        path.unlink()
    assert codes(lint(hosts, baseline=baseline)) == ["LK904", "LK904"]


def test_what_was_not_looked_for_is_not_stale(hosts: Path) -> None:
    """A rule that does not run, a host that is not looked at, a file that cannot be read."""
    baseline = written(hosts)
    assert codes(lint(hosts, baseline=baseline, ignore=["LK105"])) == []
    assert codes(lint(hosts, baseline=baseline, select=["LK102", "LK904"])) == []
    assert codes(lint(hosts, [hosts / "a"], baseline=baseline)) == []
    assert codes(lint(hosts, [hosts / "b"], baseline=baseline)) == []
    (hosts / "b/qemu.conf").unlink()
    (hosts / "b/qemu.conf").symlink_to("gone")
    assert codes(lint(hosts, baseline=baseline)) == []


def test_a_waiver_comes_first(hosts: Path) -> None:
    """What is waived is not in a new baseline, and makes an old entry stale."""
    baseline = written(hosts)
    text = (hosts / "b/qemu.conf").read_text()
    write(hosts, {"b/qemu.conf": f"# lockcfg: ignore[LK102] why\n{text}"})
    assert codes(lint(hosts, baseline=baseline)) == ["LK904"]
    assert '"LK102"' not in Path(written(hosts)).read_text()


def test_the_file_has_a_line_for_a_finding(hosts: Path) -> None:
    """Valid JSON, in the order of the findings, and the same again."""
    text = Path(written(hosts)).read_text()
    assert text == Path(written(hosts)).read_text()
    content = json.loads(text)
    assert content["version"] == 1
    assert [(f["path"], f["code"]) for f in content["findings"]] == [
        ("b/qemu.conf", "LK102"),
        ("b/qemu.conf", "LK105"),
    ]
    assert all(text.count(f["fingerprint"]) == 1 for f in content["findings"])
    lines = text.splitlines()
    assert sum(f["fingerprint"] in line for f in content["findings"] for line in lines) == 2
    assert len([line for line in lines if "fingerprint" in line]) == 2


def test_an_empty_baseline_is_one(tmp_path: Path) -> None:
    """That of a clean repository."""
    write(tmp_path, {"known.json": render([], {})})
    assert json.loads((tmp_path / "known.json").read_text()) == {"version": 1, "findings": []}
    assert Baseline.load(str(tmp_path / "known.json")).stale() == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        "5",
        '"x"',
        "{",
        b"\xff\xfe",
        "\0",
        '{"version": 1}',
        '{"version": 1, "findings": 5}',
        '{"version": 1, "findings": null}',
        '{"version": 1, "findings": {"a": 1}}',
        '{"version": 1, "findings": "abc"}',
        '{"version": 1, "findings": [5]}',
        '{"version": 1, "findings": [[]]}',
        '{"version": 1, "findings": [{}]}',
        '{"version": 1, "findings": [{"fingerprint": "x"}]}',
        "[" * 100_000,
        '{"version": ' + "9" * 5000 + "}",
        'vnc_password = "hunter2"',
    ],
    ids=lambda text: repr(text)[:30],
)
def test_what_is_no_baseline(tmp_path: Path, text: str | bytes) -> None:
    """One message, with what to do, and nothing of the file in it."""
    write(tmp_path, {"known.json": text})
    with pytest.raises(ReadError, match="is not a baseline") as caught:
        Baseline.load(str(tmp_path / "known.json"))
    assert caught.value.help == "make it again with --write-baseline"
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("version", ["0", "2", '"1"', "null", "[1]", "1.5"])
def test_a_baseline_of_another_version(tmp_path: Path, version: str) -> None:
    """Its findings might be known by something else."""
    write(tmp_path, {"known.json": f'{{"version": {version}, "findings": []}}'})
    with pytest.raises(ReadError, match="is a baseline of another version of lockcfg"):
        Baseline.load(str(tmp_path / "known.json"))


def test_no_file(tmp_path: Path) -> None:
    """A baseline that is named and not there is an error: every finding would count."""
    for path, reason in ((tmp_path / "no.json", "No such file"), (tmp_path, "is a directory")):
        with pytest.raises(ReadError, match=reason):
            Baseline.load(str(path))


HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(
    version=st.just(1) | HOSTILE,
    findings=HOSTILE
    | st.lists(
        st.fixed_dictionaries(
            {"fingerprint": HOSTILE, "path": HOSTILE, "code": HOSTILE, "message": HOSTILE}
        ),
        max_size=3,
    ),
)
def test_any_json_is_a_baseline_or_an_error(
    version: object, findings: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """And what is in it covers nothing but what it names, and is stale."""
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps({"version": version, "findings": findings}))
    try:
        baseline = Baseline.load(str(path))
    except ReadError:
        return
    assert not baseline.covers(FINGERPRINT)
    for entry in baseline.stale():
        assert all(isinstance(text, str) for text in entry.values())


def test_a_hostile_entry_is_reported_on_one_line(hosts: Path) -> None:
    """Whatever it says of its path and rule."""
    hostile = {"fingerprint": FINGERPRINT, "path": "x\n::error::\x1b[2J" * 99, "code": "LK\n1" * 99}
    content = {"version": 1, "findings": [{**hostile, "message": "\ud800"}]}
    write(hosts, {"known.json": json.dumps(content)})
    result = lint(hosts, baseline=str(hosts / "known.json"))
    assert "LK904" in codes(result)
    for diagnostic in result.diagnostics:
        assert "\n" not in diagnostic.finding.message
        assert "\x1b" not in diagnostic.finding.message
        assert len(diagnostic.finding.message) < 500


def test_a_baseline_that_covers_all_is_not_stale(tmp_path: Path) -> None:
    """Met once is met."""
    write(tmp_path, {"known.json": json.dumps(OLD)})
    baseline = Baseline.load(str(tmp_path / "known.json"))
    assert [entry["code"] for entry in baseline.stale()] == ["LK105"]
    assert baseline.covers(FINGERPRINT)
    assert baseline.covers(FINGERPRINT)
    assert baseline.stale() == []
