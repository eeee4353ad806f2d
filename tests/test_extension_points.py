"""What CONTRIBUTING says of adding something: one new file, and at most one line in a table.

Each is done in a copy of the tree, and used there. What lockd has is in
tests/lockd/test_extension_points.py.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fleet.fleets import write_fleet

PROJECT = Path(__file__).parent.parent


class Copy:
    """A copy of the tree that can be added to."""

    def __init__(self, directory: Path) -> None:
        self.top = directory / "copy"
        self.top.mkdir()
        ignore = shutil.ignore_patterns("__pycache__", "real", "lockd", "commands")
        for name in ("lockcfg", "lenses", "schemas", "packaging", "benchmarks"):
            shutil.copytree(
                PROJECT / name, self.top / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        shutil.copytree(PROJECT / "tests", self.top / "tests", ignore=ignore)
        for name in ("pyproject.toml", "CONTRIBUTING.md"):
            shutil.copy(PROJECT / name, self.top / name)

    def says(self, row: str) -> None:
        """Hold against CONTRIBUTING what is done here."""
        assert row in (self.top / "CONTRIBUTING.md").read_text()

    def add(self, file: str, text: str, table: str, after: str, line: str) -> None:
        """Add a file, and behind another one a line to a table."""
        assert not (self.top / file).exists()
        (self.top / file).write_text(text)
        path = self.top / table
        assert path.read_text().count(f"{after}\n") == 1
        path.write_text(path.read_text().replace(f"{after}\n", f"{after}\n{line}\n"))

    def python(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run Python, with the modules of the copy."""
        return subprocess.run(
            [sys.executable, "-B", *arguments],
            cwd=self.top,
            env={**os.environ, "PYTHONPATH": str(self.top)},
            capture_output=True,
            text=True,
            check=False,
        )

    def lockcfg(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the program of the copy."""
        return self.python("-m", "lockcfg", *arguments)

    def new_rule(self, code: str, name: str) -> list[Path]:
        """Have a skeleton made; the files that are new or changed, the rule's first."""
        done = self.python("packaging/new-rule", code, name)
        assert done.returncode == 0, done.stderr
        return [self.top / each for each in done.stdout.split()]

    def test(self, *arguments: str | Path) -> str:
        """Run tests of the copy, which pass; what they print."""
        done = self.python("-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """A copy of the tree."""
    return Copy(tmp_path)


def test_a_rule_of_the_linter(copy: Copy, tmp_path: Path) -> None:
    """It may look at the mode of a file, whatever its code is."""
    copy.says("| a rule of the linter | `make new-rule CODE=LK115 NAME=hosts-file`")
    before = (copy.top / "lockcfg/rules/__init__.py").read_text()
    rule, test, table = copy.new_rule("LK199", "world-writable")
    assert len(table.read_text().splitlines()) == len(before.splitlines()) + 1
    # The skeleton's own examples and test pass as they are.
    assert " passed" in copy.test(test, "tests/rules/test_manuals.py", "-k", "lk199")
    changed = rule.read_text().replace(
        "if entry is not None and entry.value == 1:",
        "if entry is not None and (subject.mode or 0) & 0o002:",
    )
    assert changed != rule.read_text()
    rule.write_text(changed)
    for name, mode in (("open", 0o666), ("closed", 0o644)):
        (tmp_path / "hosts" / name).mkdir(parents=True)
        path = tmp_path / "hosts" / name / "virtlockd.conf"
        path.write_text("max_clients = 5000\n")
        path.chmod(mode)
    done = copy.lockcfg("lint", "--select", "LK199", "--json", tmp_path / "hosts")
    (found,) = json.loads(done.stdout)["findings"]
    assert found["path"].endswith("open/virtlockd.conf")
    again = copy.python("packaging/new-rule", "LK199", "other")
    assert (again.returncode, again.stderr) == (2, "LK199 is taken: lk199_world_writable.py\n")


def test_a_rule_of_the_audit(copy: Copy, tmp_path: Path) -> None:
    """It is run on hosts that are alike."""
    copy.says("| a rule of the audit | `make new-rule CODE=LA112 NAME=too-few-clients`")
    _, test, _ = copy.new_rule("LA199", "one-client")
    copy.test(test, "tests/fleet/rules/test_rules.py", "-k", "la199")
    hosts = {"kvm01": {"virtlockd.conf": "max_clients = 1"}, "kvm02": {}}
    write_fleet(tmp_path / "snapshots", hosts)
    done = copy.lockcfg("audit", "--json", "--now", "2000000000", tmp_path / "snapshots")
    found = [each for each in json.loads(done.stdout)["findings"] if each["code"] == "LA199"]
    assert [each["hosts"] for each in found] == [["kvm01"]]


LINT_FORMAT = '''"""Paths, one a line."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from lockcfg.lint.result import LintResult


def write(result: LintResult, stream: TextIO, *, root: str) -> None:
    """See :mod:`lockcfg.report.lint`."""
    del root
    for finding in result.counted:
        stream.write(f"{finding.finding.path}\\n")
'''


def test_a_format_of_the_linter(copy: Copy, tmp_path: Path) -> None:
    """It is a choice of the command line at once."""
    copy.says("| a format of the linter | one file in `lockcfg/report/lint/`")
    file, table = "lockcfg/report/lint/paths.py", "lockcfg/report/lint/__init__.py"
    after = '    "azure": "lockcfg.report.lint.azure",'
    copy.add(file, LINT_FORMAT, table, after, '    "paths": "lockcfg.report.lint.paths",')
    (tmp_path / "qemu.conf").write_text("nonsense = 1\n")
    done = copy.lockcfg("lint", "--format", "paths", tmp_path / "qemu.conf")
    assert set(done.stdout.splitlines()) == {str(tmp_path / "qemu.conf")}


AUDIT_FORMAT = '''"""The verdict alone."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from lockcfg.fleet.comparison.result import AuditResult


def write(result: AuditResult, stream: TextIO) -> None:
    """See :mod:`lockcfg.report.audit`."""
    stream.write(f"{result.verdict.level}\\n")
'''


def test_a_format_of_the_audit(copy: Copy, tmp_path: Path) -> None:
    """It is a choice of the command line at once."""
    copy.says("| a format of the audit | one file in `lockcfg/report/audit/`")
    file, table = "lockcfg/report/audit/level.py", "lockcfg/report/audit/__init__.py"
    after = '    "html": "lockcfg.report.audit.html_",'
    copy.add(file, AUDIT_FORMAT, table, after, '    "level": "lockcfg.report.audit.level",')
    write_fleet(tmp_path / "snapshots", {"kvm01": {}, "kvm02": {"qemu.conf": ""}})
    done = copy.lockcfg("audit", "--format", "level", tmp_path / "snapshots")
    assert done.stdout == "unsafe\n"


COMMAND = '''"""``lockcfg greet``: a greeting."""

from __future__ import annotations

from lockcfg.commands.arguments import add_json
from lockcfg.report import jsonreport, terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = "Print a greeting."
EXAMPLES = (("lockcfg greet", "say hello"),)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    if arguments.json:
        jsonreport.write({"greeting": "hello"})
    else:
        terminal.stdout().line("hello")
    return 0
'''


def test_a_command(copy: Copy) -> None:
    """It is in the help, and has its own."""
    copy.says("| a command | one file in `lockcfg/commands/` and its name in `lockcfg/main.py`")
    after = '    "completion": "print a completion script for a shell",'
    copy.add(
        "lockcfg/commands/greet.py", COMMAND, "lockcfg/main.py", after, '    "greet": "say hello",'
    )
    assert copy.lockcfg("greet").stdout == "hello\n"
    assert json.loads(copy.lockcfg("greet", "--json").stdout) == {"greeting": "hello"}
    assert re.search(r"^ +greet +say hello$", copy.lockcfg("--help").stdout, re.M)
    assert "lockcfg greet" in copy.lockcfg("greet", "--help").stdout


def test_a_key_of_a_configuration_file(copy: Copy, tmp_path: Path) -> None:
    """It has its type, range and default at once."""
    copy.says("| a setting, its type, range, default | `schemas/NAME.schema.json` |")
    path = copy.top / "schemas/virtlockd.conf.schema.json"
    schema = json.loads(path.read_text())
    schema["properties"]["max_patience"] = {
        "description": "How long it waits, in seconds.",
        "type": "integer",
        "minimum": 0,
        "maximum": 60,
        "default": 5,
        "x-libvirt": {"type": "uint", "since": "1.1.2"},
    }
    path.write_text(json.dumps(schema))
    (tmp_path / "etc/libvirt").mkdir(parents=True)
    (tmp_path / "etc/libvirt/virtlockd.conf").write_text("max_clients = 5000\n")
    root = ("--root", tmp_path)
    assert copy.lockcfg("get", "max_patience", "--default", *root).stdout == "5\n"
    assert copy.lockcfg("set", "max_patience", "9", *root).returncode == 0
    assert copy.lockcfg("get", "max_patience", *root).stdout == "9\n"
    assert copy.lockcfg("set", "max_patience", "61", *root).returncode == 1
    assert "max_patience = 9" in (tmp_path / "etc/libvirt/virtlockd.conf").read_text()
