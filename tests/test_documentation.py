"""Every example in the documentation is run, and prints what the page says.

A block that begins with three backticks and ``console`` holds commands after ``$`` and what
they print; ``...`` stands for anything. The commands of one page run one after another in a
directory where ``host`` is the root of a host with libvirt's own files. A line ``# exit N``
after a command's output says which exit status it has, if not 0. A ``python`` block is run in
the same place.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lockcfg import libvirt_release
from tests.conftest import LOCKCFG

PROJECT = Path(__file__).parent.parent
PAGES = [PROJECT / "README.md"]
PAGES += sorted(each for each in (PROJECT / "docs").rglob("*.md") if each.parent.name != "rules")
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands_of(block: str) -> list[tuple[str, str, int]]:
    """The commands of a console block, what each prints, and its exit status."""
    found: list[tuple[str, str, int]] = []
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        while command.endswith("\\"):
            line, _, output = output.partition("\n")
            command = command[:-1] + line.strip()
        status = 0
        if match := re.search(r"^# exit (\d+)\n\Z", output, re.MULTILINE):
            status, output = int(match.group(1)), output[: match.start()]
        found.append((command, output, status))
    return found


#: Where a setting is in libvirt's own qemu.conf, which another release of libvirt has elsewhere
#: than 9.0, with which the pages are written.
PLACE = re.compile(r"(?<=qemu\.conf:)\d+|^  \d+(?= \| )|^@@ .* @@$|^ +(?=\| +\^)", re.MULTILINE)


def matches(expected: str, printed: str) -> bool:
    """Whether the output is the expected one, with ``...`` for anything."""
    if libvirt_release()[:2] != (9, 0):
        expected, printed = PLACE.sub("N", expected), PLACE.sub("N", printed)
    pattern = ".*?".join(map(re.escape, expected.rstrip("\n").split("...")))
    return re.fullmatch(pattern, printed.rstrip("\n"), re.DOTALL) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_the_examples_of_a_page_are_true(page: Path, host_root: Path) -> None:
    """Run them in order, from one state to the next."""
    directory = host_root.parent
    environment = {
        "PATH": f"{LOCKCFG.parent}:{os.environ['PATH']}",
        "HOME": str(directory),
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "80",
    }
    for kind, block in BLOCK.findall(page.read_text()):
        if kind == "python":
            command = [sys.executable, "-c", block]
            result = subprocess.run(
                command, cwd=directory, env=environment, capture_output=True, text=True
            )
            assert result.returncode == 0, f"{block}\n{result.stderr}"
            continue
        for command_line, expected, status in commands_of(block):
            result = subprocess.run(
                ["bash", "-c", command_line],
                cwd=directory,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            assert matches(expected, result.stdout), f"$ {command_line}\n{result.stdout}"
            assert result.returncode == status, f"$ {command_line}\n{result.stdout}"


def test_the_readme_has_examples() -> None:
    """So that the test above cannot pass by finding none."""
    blocks = BLOCK.findall((PROJECT / "README.md").read_text())
    assert sum(len(commands_of(block)) for kind, block in blocks if kind == "console") >= 5


def test_the_examples_of_the_help_are_accepted(host_root: Path) -> None:
    """Each example of ``--help`` parses, and each command has one."""
    from lockcfg.main import COMMANDS, command, parser_of

    assert shutil.which("bash")
    for name in COMMANDS:
        examples = command(name).EXAMPLES
        assert examples
        for line, what in examples:
            words = line.split("|")[-1].split(">")[0].split()
            assert words[:2] == ["lockcfg", name]
            assert what
            parser_of(name).parse_args(words[2:])
    assert host_root.is_dir()
