"""What the formats of the audit are read by takes them, whatever is in the snapshots."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import jsonschema
import pytest

from benchmarks.made_up_fleet import WRONG, demo
from lockcfg.fleet.policy.host_ranges import fold
from lockcfg.report.audit import FORMATS, render_audit
from lockcfg.report.terminal import escape
from lockcfg.report.untrusted import clean
from lockcfg.yamlschema import load_schema, violations
from tests.fleet.fleets import audited

if TYPE_CHECKING:
    from lockcfg.fleet.comparison.result import AuditResult
    from tests.conftest import RunLockcfg

DATA = Path(__file__).parent.parent / "data"

HOSTILE: dict[str, Any] = {
    "kvm01": {"host": {"name": "\x1b[31m<b>&\"'\x07\ud7ff￾"}, "qemu.conf": "]]>\x01= {0} ](x)"},
    "kvm02": {"lockspace": {"probe": {"outcome": "fails", "step": "lock", "error": "\x02{x}"}}},
}

FLEETS: dict[str, dict[str, Any]] = {
    "demonstration": demo(),
    "fine": {"kvm01": {}, "kvm02": {}},
    "none": {},
    "everything": {f"kvm{n:02}": changes for n, changes in enumerate(WRONG.values())},
    "hostile": HOSTILE,
}

WAIVING = {"waivers": [{"rule": "LA", "hosts": ["kvm0*"], "reason": "a <lab>"}]}


def escaped(name: str) -> str:
    """A name as XML has it."""
    return clean(name)


def rendered(result: AuditResult, format: str) -> str:
    """The report in a format."""
    stream = io.StringIO()
    render_audit(result, format, stream)
    return stream.getvalue()


@pytest.fixture(params=[(name, policy) for name in FLEETS for policy in (None, WAIVING)], ids=str)
def result(request: pytest.FixtureRequest) -> AuditResult:
    """Audits of all of them, with waivers and without."""
    name, policy = request.param
    return audited(FLEETS[name], policy)


def test_json_is_what_its_schema_says(result: AuditResult) -> None:
    """And has every finding."""
    report = json.loads(rendered(result, "json"))
    assert violations(report, load_schema("audit-output")) == []
    assert len(report["findings"]) == len(result.findings)


def test_sarif_is_what_the_standard_says(result: AuditResult) -> None:
    """By the schema of OASIS; hosts are logical locations, and those whose setting is the cause
    have a result of their own."""
    report = json.loads(rendered(result, "sarif"))
    schema = json.loads((DATA / "sarif-schema-2.1.0.json").read_text())
    jsonschema.Draft7Validator(schema).validate(report)
    expected = 0
    for finding in result.findings:
        own = set(finding.hosts) & finding.places.keys()
        expected += len(own) + (len(own) < len(finding.hosts) or not finding.hosts)
    assert len(report["runs"][0]["results"]) == expected


@pytest.mark.parametrize(
    ("code", "conf"),
    [
        ("LA101", '# locks\n\nlock_manager = "nop"\n'),
        ("LA106", 'lock_manager = "lockd"\n\nsched_core = "vcpus"\n'),
    ],
)
def test_sarif_leads_to_the_line_that_is_the_cause(code: str, conf: str) -> None:
    """On the host, and in a repository in the file itself."""
    host = {"qemu.conf": conf, "versions": {"libvirt": "8.0.0"}}
    report = json.loads(rendered(audited({"kvm01": {}, "kvm02": host}), "sarif"))
    (place,) = [
        result["locations"][0]["physicalLocation"]
        for result in report["runs"][0]["results"]
        if result["ruleId"] == code
    ]
    assert place["artifactLocation"]["uri"] == "kvm02/etc/libvirt/qemu.conf"
    assert place["region"]["startLine"] == 3


def test_what_is_cut_off_is_told() -> None:
    """Hosts that are no locations in SARIF, and findings to which a row of the page has no link."""
    one = audited({"kvm01": {"qemu.conf": ""}, "kvm02": {}})
    (finding,) = (each for each in one.findings if each.code == "LA101")
    hosts = [f"kvm{number}" for number in range(1_200)]
    many = one.replace(findings=[finding.replace(hosts=hosts, places={})])
    (result,) = json.loads(rendered(many, "sarif"))["runs"][0]["results"]
    assert len(result["locations"][0]["logicalLocations"]) == 1_000
    assert "200 more hosts are no locations" in result["message"]["text"]
    page = rendered(one.replace(findings=[finding] * 10), "html")
    assert "</a> and 2 more</span>" in page


def test_sarif_says_that_only_the_first_hosts_have_results_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A finding of more hosts than that has one more result, which is about the rest."""
    monkeypatch.setattr("lockcfg.fleet.audit._PLACES", 2)
    hosts = {f"kvm{number}": {"qemu.conf": 'lock_manager = "nop"\n'} for number in range(5)}
    report = json.loads(rendered(audited(hosts), "sarif"))
    found = [each for each in report["runs"][0]["results"] if each["ruleId"] == "LA101"]
    at = [each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in found]
    assert at == ["kvm0/etc/libvirt/qemu.conf", "kvm1/etc/libvirt/qemu.conf", "fleet.yaml"]
    of_rest = found[-1]["message"]["text"]
    assert "2 more hosts have it, each in a result at its own file" in of_rest
    assert "kvm[2-4]" in of_rest


def test_sarif_of_a_repository_names_its_files(tmp_path: Path, lockcfg: RunLockcfg) -> None:
    """By the path that the audit was given."""
    (tmp_path / "hosts/kvm 01").mkdir(parents=True)
    (tmp_path / "hosts/kvm 01/qemu.conf").write_text('max_core = 1\nlock_manager = "nop"\n')
    done = lockcfg("audit", "--format", "sarif", "hosts", cwd=tmp_path)
    places = [
        result["locations"][0]["physicalLocation"]
        for result in json.loads(done.stdout)["runs"][0]["results"]
        if result["ruleId"] == "LA101"
    ]
    assert [place["artifactLocation"]["uri"] for place in places] == ["hosts/kvm%2001/qemu.conf"]
    assert [place["region"]["startLine"] for place in places] == [2]


def test_junit_is_what_jenkins_reads(result: AuditResult, tmp_path: Path) -> None:
    """By its schema; a case for each host and rule, of which those fail that have a finding."""
    (tmp_path / "report.xml").write_text(rendered(result, "junit"))
    files = [str(DATA / "junit-10.xsd"), str(tmp_path / "report.xml")]
    command = ["xmllint", "--noout", "--schema", *files]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    cases = {
        (suite.get("name"), case.get("name"), case[0].tag if len(case) else "")
        for suite in ElementTree.parse(tmp_path / "report.xml").getroot()
        for case in suite
    }
    assert len(cases) == (len(result.hosts) + 1) * len(result.rules)
    failed = {
        (escaped(host), f"{finding.code} {finding.rule}", "failure")
        for finding in result.counted
        if finding.severity != "info"
        for host in finding.hosts or ("(fleet)",)
    }
    assert {case for case in cases if case[2] == "failure"} == failed


def test_text_is_lines_that_can_be_printed(result: AuditResult) -> None:
    """And begins and ends with the verdict; each finding names all its hosts."""
    lines = rendered(result, "text").splitlines()
    assert all(line.isprintable() for line in lines)
    assert lines[0] == lines[-1] == result.verdict.text
    for finding in result.counted:
        if finding.hosts:
            assert f"  {', '.join(map(escape, fold(finding.hosts)))}" in lines


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_audit_gives_the_same_report(format: str) -> None:
    """No order is left to chance."""
    assert rendered(audited(demo()), format) == rendered(audited(demo()), format)
