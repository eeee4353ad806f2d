"""What is fetched from elsewhere is what its digest says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lockcfg.version import VERSION

PROJECT = Path(__file__).parent.parent
FILES = sorted(PROJECT.glob("requirements*.txt"))
AUDIT = PROJECT / "packaging/audit-requirements"


def names_in(path: Path) -> set[str]:
    """The packages that a file pins."""
    return set(re.findall(r"^([\w.-]+)==", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_requirement_is_pinned_with_hashes(path: Path) -> None:
    """And no file names an index: where packages come from is for the machine to say."""
    text = path.read_text()
    assert "://" not in text
    assert "index" not in text
    entries = re.split(r"\n(?=\S)", text.strip())
    for entry in entries:
        if not entry.startswith("#"):
            assert re.match(r"[\w.-]+==[\w.]+( ; [^\\]+)? \\\n +--hash=sha256:[0-9a-f]{64}", entry)


def test_the_files_pin_what_pyproject_asks_for() -> None:
    """Each in its file, and a package is of the same version in all of them."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())

    def bare(requirements: list[str]) -> set[str]:
        found = {re.split(r"[<>=; ]", each)[0] for each in requirements}
        return {re.sub(r"[-_.]+", "-", name).lower() for name in found}

    groups = project["dependency-groups"]
    assert bare(project["project"]["dependencies"]) <= names_in(PROJECT / "requirements.txt")
    assert bare(groups["build"]) <= names_in(PROJECT / "requirements-build.txt")
    assert bare(groups["dev"]) <= names_in(PROJECT / "requirements-dev.txt")
    assert bare(project["build-system"]["requires"]) <= bare(groups["build"])
    versions: dict[str, list[set[str]]] = {}
    for path in FILES:
        here: dict[str, set[str]] = {}
        for name, version in re.findall(r"^([\w.-]+)==([\w.]+)", path.read_text(), re.MULTILINE):
            here.setdefault(name, set()).add(version)
        for name, known in here.items():
            versions.setdefault(name, []).append(known)
    assert [name for name, files in versions.items() if files != [files[0]] * len(files)] == []


def test_nothing_that_slows_every_start_is_pinned() -> None:
    """jsonschema imports what checks the formats of values, if it is installed; the pins are
    resolved without it (``tool.uv`` in pyproject.toml)."""
    configuration = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    left_out = {
        each.partition(";")[0] for each in configuration["tool"]["uv"]["override-dependencies"]
    }
    assert len(left_out) == 7
    for path in FILES:
        assert left_out.isdisjoint(names_in(path))


def test_a_package_with_another_content_is_refused(tmp_path: Path) -> None:
    """By pip, with what 'make setup' gives it."""
    text = (PROJECT / "requirements.txt").read_text()
    (entry,) = re.findall(r"^attrs==(?:.*\n)(?: .*\n?)+", text, re.MULTILINE)
    wrong = re.sub(r"sha256:[0-9a-f]{64}", "sha256:" + "0" * 64, entry)
    (tmp_path / "requirements.txt").write_text(wrong)
    pip = f"{sys.executable} -m pip download --no-deps --require-hashes"
    command = [*pip.split(), "-r", str(tmp_path / "requirements.txt"), "-d", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in result.stderr


def test_actions_are_pinned_by_their_digests() -> None:
    """In all that the documentation shows: a tag can be moved."""
    pages = [*PROJECT.glob("docs/**/*.md"), *PROJECT.glob("*.md"), *PROJECT.glob("*.yml")]
    used = [
        line
        for path in pages
        for line in re.findall(r"^\s*(?:- )?uses: +(.*)$", path.read_text(), re.MULTILINE)
    ]
    assert used
    for line in used:
        assert re.fullmatch(r"[\w/.-]+@[0-9a-f]{40}  # v[\d.]+|OWNER/lockcfg@COMMIT", line), line


CLEAN = {"name": "a", "version": "1", "vulns": []}
KNOWN = {"name": "b", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}
SKIPPED = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("report", "status", "told"),
    [
        (json.dumps({"dependencies": [CLEAN]}), 0, "1 requirements audited, 0 known"),
        (json.dumps({"dependencies": [CLEAN, SKIPPED]}), 0, "NOT AUDITED: c"),
        (json.dumps({"dependencies": [CLEAN, KNOWN]}), 1, "b 1: CVE-1, fixed in 2"),
        ("no JSON", 3, "failed"),
    ],
)
def test_a_clean_audit_is_one_that_has_looked(
    report: str, status: int, told: str, tmp_path: Path
) -> None:
    """What the database does not know is not called clean."""
    (tmp_path / "pip_audit.py").write_text(f"print({report!r})\n")
    result = subprocess.run(
        [sys.executable, AUDIT],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(tmp_path)},
    )
    assert result.returncode == status, result.stderr
    assert told in result.stdout + result.stderr


def test_the_bill_of_materials_is_what_is_pinned() -> None:
    """Every requirement, with the version and the digests of its pin, and nothing more but Augeas;
    the same each time."""
    command = [sys.executable, str(PROJECT / "packaging/sbom")]
    first, second = (
        subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)
    )
    assert first == second
    document = json.loads(first)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    root = document["metadata"]["component"]
    assert (root["name"], root["version"]) == ("lockcfg", VERSION)
    text = (PROJECT / "requirements.txt").read_text()
    pins = {
        (name, version): set(re.findall(r"sha256:([0-9a-f]{64})", rest))
        for name, version, rest in re.findall(
            r"^([\w.-]+)==([\w.]+)((?:.*\\\n)*.*)", text, re.MULTILINE
        )
    }
    found = {
        (each["name"], each["version"]): {
            digest["content"]
            for reference in each["externalReferences"]
            for digest in reference["hashes"]
        }
        for each in document["components"]
        if each["name"] != "augeas"
    }
    assert found == pins
    assert len(document["components"]) == len(pins) + 1
    (of_root,) = (each for each in document["dependencies"] if each["ref"] == root["bom-ref"])
    assert len(of_root["dependsOn"]) == len(document["components"])
