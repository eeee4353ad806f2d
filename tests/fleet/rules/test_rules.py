"""The manual of every rule of the audit is true: its examples are fleets, and are audited.

Below "Example" and "Use instead" stand ``yaml fleet`` (hosts that are fine except for what is said
of them, see :mod:`benchmarks.made_up_fleet`) and ``yaml policy`` (a policy).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import lockcfg.fleet.rules
from lockcfg.fleet.rules import TABLE, audit_rule
from tests.fleet.fleets import audited, findings_of

if TYPE_CHECKING:
    from lockcfg.fleet.comparison.result import AuditResult
    from lockcfg.fleet.rules import AuditRule

HEADINGS = ["What it does", "Why is this bad", "Example", "Use instead", "Fix"]
BLOCK = re.compile(r"^```yaml (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(params=TABLE)
def module(request: pytest.FixtureRequest) -> AuditRule:
    """The module of each rule of the table."""
    return audit_rule(request.param)


def manual_of(module: AuditRule) -> tuple[str, dict[str, str]]:
    """The summary of a manual, and its sections."""
    summary, *parts = re.split(r"^## (.+)\n", module.__doc__ or "", flags=re.MULTILINE)
    return summary.strip(), dict(zip(parts[::2], parts[1::2], strict=True))


def run(module: AuditRule, heading: str) -> AuditResult:
    """The audit of the fleet in a section."""
    blocks: dict[str, Any] = {
        name: yaml.safe_load(body) for name, body in BLOCK.findall(manual_of(module)[1][heading])
    }
    assert "fleet" in blocks
    assert set(blocks) <= {"fleet", "policy"}
    return audited(blocks["fleet"], blocks.get("policy"))


def test_the_table_is_the_folder() -> None:
    """No rule is forgotten, and they are in the order of their codes."""
    folder = Path(lockcfg.fleet.rules.__file__ or "").parent
    assert list(TABLE) == sorted(path.stem for path in folder.glob("la*.py"))


@pytest.mark.parametrize("name", TABLE)
def test_a_rule_is_called_as_its_file(name: str) -> None:
    """So that either leads to the other."""
    rule = audit_rule(name).RULE
    assert re.fullmatch("LA[1-5][0-9][0-9]", rule.code)
    assert name == f"{rule.code.lower()}_{rule.name.replace('-', '_')}"
    assert rule.scope in ("alike", "fleet")


def test_a_manual_has_its_headings(module: AuditRule) -> None:
    """All of them, in order, after a summary of one line, and none of them empty."""
    summary, sections = manual_of(module)
    assert summary.endswith(".")
    assert "\n" not in summary
    assert list(sections) == HEADINGS
    assert all(text.strip() for text in sections.values())
    assert sections["Fix"].strip().startswith("None")


def test_what_the_example_shows_is_found(module: AuditRule) -> None:
    """With its severity, on a host of the example."""
    found = findings_of(run(module, "Example"), module.RULE.code)
    assert found
    for finding in found:
        assert finding.rule == module.RULE.name
        assert finding.severity == module.RULE.severity
        assert "\n" not in finding.message + finding.help
        assert not finding.message.endswith(".")
        assert all(host.startswith("kvm") for host in finding.hosts)


def test_what_to_use_instead_is_not_found(module: AuditRule) -> None:
    """Or the advice would be bad."""
    assert findings_of(run(module, "Use instead"), module.RULE.code) == []


def test_a_fine_fleet_is_safe() -> None:
    """The only finding is that there is no policy."""
    result = audited({"kvm01": {}, "kvm02": {}})
    assert result.verdict.level == "safe"
    assert [finding.code for finding in result.findings] == ["LA504"]
    assert result.unknown == ()
