"""The action, and what the documentation shows for pipelines and settings, work as they are."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lockcfg.report.lint import FORMATS
from lockcfg.rules import TABLE
from lockcfg.yamlschema import load_schema, load_yaml, violations
from tests.conftest import LOCKCFG

PROJECT = Path(__file__).parent.parent
ACTION = yaml.safe_load((PROJECT / "action.yml").read_text())
HOOKS = yaml.safe_load((PROJECT / ".pre-commit-hooks.yaml").read_text())

UNKNOWN = 'lock_managr = "lockd"\n'
WAIVED = '# lockcfg: ignore[LK202] a test host\nlock_manager = "nop"\n'


def blocks(page: str) -> list[str]:
    """The YAML blocks of a page of the documentation."""
    text = (PROJECT / "docs" / page).read_text()
    return re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def block_with(key: str) -> Any:
    """The content of the block of docs/guides/ci.md that has a key at its top, the last one."""
    return [content for text in blocks("guides/ci.md") if key in (content := yaml.safe_load(text))][
        -1
    ]


def step(name: str) -> dict[str, Any]:
    """A step of the action, by the beginning of its name."""
    (found,) = [each for each in ACTION["runs"]["steps"] if each["name"].startswith(name)]
    return dict(found)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one finding that counts, one that is waived, and a clean directory."""
    top = tmp_path / "repository"
    for name, text in (("kvm01", UNKNOWN), ("kvm 02", WAIVED)):
        (top / "hosts" / name).mkdir(parents=True)
        (top / "hosts" / name / "qemu.conf").write_text(text)
    (top / "empty").mkdir()
    subprocess.run(["git", "init", "--quiet", top], check=True)
    return top


def environment(tmp_path: Path) -> dict[str, str]:
    """Of a runner where the action has installed lockcfg."""
    installed = tmp_path / "lockcfg/bin"
    installed.mkdir(parents=True, exist_ok=True)
    if not (installed / "lockcfg").exists():
        (installed / "lockcfg").symlink_to(LOCKCFG)
    return {
        "HOME": str(tmp_path),
        "LC_ALL": "C.UTF-8",
        "PATH": f"{LOCKCFG.parent}:{os.environ['PATH']}",
        "RUNNER_TEMP": str(tmp_path),
    }


def run_action(
    repository: Path, name_of_step: str = "Lint", **inputs: str
) -> subprocess.CompletedProcess[str]:
    """A step of the action with some inputs, as the runner runs it."""
    given = {name: each["default"] for name, each in ACTION["inputs"].items()} | inputs
    lint = step(name_of_step)
    given_by_the_runner = {"${{ github.action_path }}": str(PROJECT)}
    values = {
        name: given_by_the_runner.get(value)
        or re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda match: given[match[1]], value)
        for name, value in lint["env"].items()
    }
    script = repository.parent / "step.sh"
    script.write_text(lint["run"])
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", script],
        cwd=repository,
        env=environment(repository.parent) | values,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_action_is_one_that_needs_nothing_but_bash() -> None:
    """Each input is described, and no other action is used."""
    assert ACTION["runs"]["using"] == "composite"
    for each in ACTION["inputs"].values():
        assert each["description"]
        assert isinstance(each["default"], str)
    for each in ACTION["runs"]["steps"]:
        assert each["shell"] == "bash"
        assert "uses" not in each


def test_the_scripts_of_the_action_are_bash() -> None:
    """And nothing is put into them: an input cannot become a command."""
    for each in ACTION["runs"]["steps"]:
        assert "${{" not in each["run"]
        subprocess.run(["bash", "-n"], input=each["run"], check=True, text=True)


def test_the_action_gives_every_input_to_one_of_its_steps() -> None:
    """So that none is there for nothing."""
    environments = [step(name)["env"] for name in ("Lint", "Audit")]
    used = set(re.findall(r"inputs\.(\w+)", str(environments)))
    assert used == set(ACTION["inputs"])


def test_the_action_annotates(repository: Path) -> None:
    """Without inputs, all of the repository, for GitHub."""
    result = run_action(repository)
    assert result.returncode == 1
    (line,) = result.stdout.splitlines()
    assert line.startswith("::warning file=hosts/kvm01/qemu.conf,line=1,col=1,")


@pytest.mark.parametrize(
    ("paths", "status"),
    [
        ("hosts/kvm 02", 0),
        ("hosts/kvm 02\nempty\n", 0),
        ("\n  \nhosts/kvm01\nhosts/kvm 02\n", 1),
        ("", 1),
        ("absent", 2),
        ("--fix", 2),
        ("$(touch made)", 2),
    ],
)
def test_the_action_takes_paths_one_a_line(repository: Path, paths: str, status: int) -> None:
    """With blanks in them; and they are paths, whatever they look like."""
    result = run_action(repository, paths=paths)
    assert result.returncode == status, result.stdout
    assert not (repository / "made").exists()
    assert (repository / "hosts/kvm01/qemu.conf").read_text() == UNKNOWN


def test_the_action_takes_arguments(repository: Path) -> None:
    """As docs/guides/ci.md has them for SARIF, and in several lines."""
    result = run_action(repository, format="sarif", args="--output-file lint.sarif")
    assert result.returncode == 1, result.stdout
    assert json.loads((repository / "lint.sarif").read_text())["version"] == "2.1.0"
    result = run_action(repository, format="text", args="--ignore LK102\n--fail-level info\n")
    assert result.returncode == 0, result.stdout
    assert "0 findings in 2 files" in result.stdout
    result = run_action(repository, args="--select $(touch${IFS}made);touch made")
    assert result.returncode == 2, result.stdout
    assert not (repository / "made").exists()


@pytest.mark.parametrize("format", FORMATS)
def test_the_action_takes_every_format(repository: Path, format: str) -> None:
    """The status is the same in all of them."""
    assert run_action(repository, format=format).returncode == 1


def test_what_is_installed_is_what_the_project_needs() -> None:
    """The packages of the Makefile, by the action and in the example for GitLab."""
    needed = re.search(r"^RUN_PACKAGES\s*:= (.*)$", (PROJECT / "Makefile").read_text(), re.M)
    assert needed
    packages = set(needed[1].split()) - {"libaugeas0"}  # libaugeas-dev brings it along
    assert packages <= set(step("Install what")["run"].split())
    assert packages <= set(" ".join(block_with("lockcfg")["lockcfg"]["before_script"]).split())


def test_the_examples_for_pipelines_are_yaml() -> None:
    """All of them, and there are those that the page promises."""
    contents = [yaml.safe_load(text) for text in blocks("guides/ci.md")]
    assert [next(iter(each)) for each in contents] == [
        *("repos", "name", "name", "name", "lockcfg")
    ]


def test_the_example_for_pre_commit_names_the_hook() -> None:
    """By the id that the manifest has."""
    (repo,) = block_with("repos")["repos"]
    assert [hook["id"] for hook in repo["hooks"]] == [hook["id"] for hook in HOOKS]


def test_the_examples_for_github_give_inputs_that_the_action_has() -> None:
    """GitHub only warns of an input that there is not."""
    used = 0
    for text in blocks("guides/ci.md"):
        for job in yaml.safe_load(text).get("jobs", {}).values():
            for each in job["steps"]:
                if each.get("uses", "").startswith("OWNER/lockcfg@"):
                    assert set(each["with"]) <= set(ACTION["inputs"])
                    used += 1
    assert used == 3


def test_waived_findings_are_taken_out_for_github(repository: Path) -> None:
    """By the steps of the example: the action's with its inputs, then the one in Python."""
    lint, clean = (
        each
        for each in block_with("permissions")["jobs"]["lockcfg"]["steps"]
        if each.get("uses", "").startswith("OWNER/") or "run" in each
    )
    assert run_action(repository, **lint["with"]).returncode == 1
    report = repository / "lockcfg.sarif"
    assert len(json.loads(report.read_text())["runs"][0]["results"]) == 2
    assert clean["shell"] == "python"
    subprocess.run([sys.executable, "-c", clean["run"]], check=True, cwd=repository)
    (result,) = json.loads(report.read_text())["runs"][0]["results"]
    assert result["ruleId"] == "LK102"
    assert result["suppressions"] == []


def test_the_example_for_gitlab_reports(repository: Path) -> None:
    """Its script runs line by line, the last one fails the job, and the report is one."""
    job = block_with("lockcfg")["lockcfg"]
    for line in job["before_script"]:
        subprocess.run(["bash", "-n"], input=line, check=True, text=True)
    statuses = [
        subprocess.run(
            ["bash", "-c", line], cwd=repository, env=environment(repository.parent)
        ).returncode
        for line in job["script"]
        if "audit-change" not in line
    ]
    assert statuses == [0, 1]
    (issue,) = json.loads((repository / job["artifacts"]["reports"]["codequality"]).read_text())
    assert issue["check_name"] == "LK102"
    assert issue["location"] == {"path": "hosts/kvm01/qemu.conf", "lines": {"begin": 1}}
    assert issue["severity"] == "major"
    assert re.fullmatch("[0-9a-f]{64}", issue["fingerprint"])
    assert issue["description"]


@pytest.fixture
def settings() -> str:
    """The settings file that docs/reference/lint.md shows."""
    (text,) = [text for text in blocks("reference/lint.md") if text.startswith("# .lockcfg.yaml\n")]
    return text


def commit(top: Path) -> str:
    """Commit all there is; returns the commit."""
    git = ["git", "-C", str(top), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "."], check=True)
    said = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return said.stdout.strip()


@pytest.fixture
def change(tmp_path: Path) -> tuple[Path, str]:
    """A repository with a change that takes kvm03 out of its lock domain, and the commit before."""
    top = tmp_path / "repository"
    for host in ("kvm01", "kvm02", "kvm03"):
        (top / "fleet" / host).mkdir(parents=True)
        (top / "fleet" / host / "qemu.conf").write_text('lock_manager = "lockd"\n')
    subprocess.run(["git", "init", "--quiet", top], check=True)
    base = commit(top)
    (top / "fleet/kvm03/qemu-lockd.conf").write_text('file_lockspace_dir = "/srv/locks"\n')
    commit(top)
    return top, base


MOVED = "kvm03: no longer in one lock domain with kvm[01-02] (images)"


def test_the_action_says_what_a_change_does_to_lock_domains(change: tuple[Path, str]) -> None:
    """By annotations; of a checkout with one commit, which has to fetch the other; of a branch
    that is new; and of a commit that is nowhere."""
    top, base = change
    ran = run_action(top, "Audit", audit="fleet", base=base)
    assert f"::error title=lock domains::this change is for the worse: {MOVED}" in ran.stdout
    assert ran.returncode == 0
    shallow = top.parent / "shallow"
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=1", f"file://{top}", shallow],
        check=True,
        capture_output=True,
    )
    subprocess.run(
        ["git", "-C", top, "config", "uploadpack.allowAnySHA1InWant", "true"], check=True
    )
    assert MOVED in run_action(shallow, "Audit", audit="fleet", base=base).stdout
    ran = run_action(top, "Audit", audit="fleet", base="0" * 40)
    assert "lock domain" not in ran.stdout
    assert "::notice title=lockcfg audit::" in ran.stdout
    ran = run_action(top, "Audit", audit="fleet", base="--output=x")
    assert "there is no commit --output=x" in ran.stdout
    assert ran.returncode == 3


def test_the_example_for_gitlab_says_what_a_merge_request_does(change: tuple[Path, str]) -> None:
    """The lines that audit, as they are, with the place of the source."""
    top, base = change
    lines = [line for line in block_with("lockcfg")["lockcfg"]["script"] if "audit-change" in line]
    said = [
        subprocess.run(
            ["bash", "-c", line.replace("/opt/source", str(PROJECT))],
            cwd=top,
            env=environment(top.parent) | {"CI_MERGE_REQUEST_DIFF_BASE_SHA": base},
            capture_output=True,
            text=True,
        )
        for line in lines
    ]
    assert [each.returncode for each in said] == [0, 0]
    assert "no longer in one lock domain" in said[1].stdout
    assert (top / "lock-domains.xml").read_text().startswith("<?xml")


def test_the_example_of_the_settings_has_all_of_them(settings: str) -> None:
    """Each in force, and each with a comment or in a block of lines that has one."""
    content = load_yaml(settings.encode(), "settings")
    schema = load_schema("settings")
    assert set(content) == set(schema["properties"])
    assert set(content["waivers"][0]) == set(schema["properties"]["waivers"]["items"]["properties"])
    assert settings.count("\n# ") >= len(content) - 1


def test_the_example_of_the_settings_is_taken(settings: str, repository: Path) -> None:
    """By the linter, with a baseline beside it."""
    shutil.copytree(repository / "hosts/kvm 02", repository / "hosts/lab-01")
    (repository / "hosts/lab-01/qemu.conf").write_text('lock_manager = "nop"\n')
    (repository / "hosts/kvm 02/qemu.conf").write_text('lock_manager = "lockd"\n')
    (repository / ".lockcfg.yaml").write_text(settings)

    def lint(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [LOCKCFG, "lint", *arguments], cwd=repository, capture_output=True, text=True
        )

    (repository / "known.json").write_text('{"version": 1, "findings": []}\n')
    result = lint("--format", "json")
    assert result.returncode == 1, result.stderr
    findings = json.loads(result.stdout)["findings"]
    waived = [each["code"] for each in findings if each["suppression"]]
    counted = {each["code"]: each["severity"] for each in findings if not each["suppression"]}
    assert waived == ["LK202"]
    assert counted == {"LK102": "warning", "LK207": "warning"}
    assert lint("--write-baseline", "known.json").returncode == 0
    assert lint().returncode == 0


def test_the_settings_are_checked_by_the_schema_that_the_page_names(settings: str) -> None:
    """And each rule in them is in the table."""
    assert "`schemas/settings.schema.json`" in (PROJECT / "docs/reference/lint.md").read_text()
    content = load_yaml(settings.encode(), "settings")
    content["waivers"] = [each | {"until": "2099-12-31"} for each in content["waivers"]]
    assert list(violations(content, load_schema("settings"))) == []
    slugs = {name[6:].replace("_", "-") for name in TABLE}
    named = [*content["ignore"], *content["severity"], content["waivers"][0]["rule"]]
    assert all(name in slugs or re.fullmatch("LK[0-9]+", name) for name in named)
