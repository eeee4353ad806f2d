"""What is better and what is worse than in an earlier audit."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.made_up_fleet import NOW, WRONG, demo
from lockcfg.fleet.comparison.since import since_of
from lockcfg.report.audit import render_audit
from lockcfg.yamlschema import load_schema, violations
from tests.fleet.fleets import audited, write_fleet

if TYPE_CHECKING:
    from pathlib import Path

    from lockcfg.fleet.comparison.result import AuditResult, Since
    from tests.conftest import RunLockcfg


def report_of(result: AuditResult) -> dict[str, Any]:
    """The audit as JSON."""
    stream = io.StringIO()
    render_audit(result, "json", stream)
    report: dict[str, Any] = json.loads(stream.getvalue())
    return report


def since(old: dict[str, Any], new: dict[str, Any]) -> Since:
    """What has changed between two made-up fleets."""
    return since_of(report_of(audited(old)), audited(new))


def test_nothing_has_changed() -> None:
    """Of a fleet and itself, whatever is wrong with it."""
    found = since(demo(), demo())
    assert (found.worse, found.better, found.come, found.gone) == ((), (), (), ())


def test_what_is_mended_is_better_and_what_breaks_is_worse() -> None:
    """Of two hosts that change places; a disk that both have is named."""
    disk = WRONG["a disk of another"]
    off = {**disk, **WRONG["no lock manager"]}
    found = since({"a": off, "b": disk, "c": {}}, {"a": disk, "b": disk, "c": off})
    worse = [change for change in found.worse if "LA101" in change.text]
    better = [change for change in found.better if "LA101" in change.text]
    assert [change.hosts for change in worse] == [("c",)]
    assert [change.hosts for change in better] == [("a",)]
    found = since({"a": off, "b": disk}, {"a": disk, "b": disk})
    assert not found.worse
    assert any("was unsafe, and is safe" in change.text for change in found.better)
    found = since({"a": disk, "b": disk}, {"a": off, "b": disk})
    assert any("was safe, and is unsafe" in change.text for change in found.worse)


def test_hosts_that_leave_their_lock_domain_are_named() -> None:
    """The smaller part has left the larger, and has joined it when it is back."""
    one, other = (
        WRONG["a disk of another"],
        {**WRONG["a disk of another"], **WRONG["another directory"]},
    )
    together = {"a": one, "b": one, "c": one}
    apart = {"a": one, "b": one, "c": other}
    (left,) = [each for each in since(together, apart).worse if "lock domain" in each.text]
    assert left.hosts == ("c",)
    assert left.text.startswith("no longer in one lock domain with a, b (images): now locked by ")
    (joined,) = [each for each in since(apart, together).better if "lock domain" in each.text]
    assert (joined.hosts, joined.text) == (("c",), "now in one lock domain with a, b (images)")
    off = {"a": one, "b": one, "c": {**one, **WRONG["no lock manager"]}}
    (left,) = [each for each in since(together, off).worse if "lock domain" in each.text]
    assert left.text.endswith("nothing is locked now")
    for old, new in ((apart, {"a": one, "b": one}), ({"a": one, "b": one}, apart)):
        found = since(old, new)
        assert not [each for each in (*found.worse, *found.better) if "lock domain" in each.text]


def test_hosts_that_come_and_go_are_neither() -> None:
    """Nothing of a host is better because it is not looked at any longer."""
    off = WRONG["no lock manager"]
    found = since({"a": {}, "b": {}, "c": off}, {"a": {}, "b": {}, "d": off})
    assert (found.come, found.gone) == (("d",), ("c",))
    assert not any("LA101" in change.text for change in (*found.worse, *found.better))


def test_the_command_compares(tmp_path: Path, lockcfg: RunLockcfg) -> None:
    """In text, on the page and as JSON; what is no report is refused."""
    old = write_fleet(tmp_path / "old", {"a": {}, "b": {}})
    new = write_fleet(tmp_path / "new", {"a": WRONG["no lock manager"], "b": {}})
    report = tmp_path / "old.json"
    now = ("--now", str(NOW))
    report.write_text(lockcfg("audit", *now, "--json", str(old)).stdout)
    compare = ("--compare", str(report), str(new))
    text = lockcfg("audit", *now, *compare).stdout
    assert "  worse: no lock manager is in use" in text
    told = json.loads(lockcfg("audit", *now, "--json", *compare).stdout)
    assert violations(told, load_schema("audit-output")) == []
    assert next(change["hosts"] for change in told["since"]["worse"]) == ["a"]
    page = lockcfg("audit", *now, "--format", "html", *compare).stdout
    assert 'id="since"' in page
    # A report that itself was compared is one all the same.
    report.write_text(json.dumps(told))
    assert "nothing is better, and nothing is worse" in lockcfg("audit", *now, *compare).stdout


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"findings": 3}', "\0", '{"now": "x"}'])
def test_what_is_no_report_is_refused(text: str, tmp_path: Path, lockcfg: RunLockcfg) -> None:
    """With the file's name, and nothing else."""
    folder = write_fleet(tmp_path / "new", {"a": {}})
    report = tmp_path / "old.json"
    report.write_text(text)
    done = lockcfg("audit", "--compare", str(report), str(folder))
    assert done.returncode == 2
    assert f"{report} is not a report of an audit" in done.stderr
