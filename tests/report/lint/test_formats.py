"""What holds for every format."""

from __future__ import annotations

import io
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

import lockcfg.report.lint
from lockcfg.errors import UsageError
from lockcfg.findings import Place
from lockcfg.lint.result import LintFix, LintReplacement, LintResult, Suppression
from lockcfg.main import parser_of
from lockcfg.report import audit, doctor
from lockcfg.report.diagnostics import relative
from lockcfg.report.lint import FORMATS, render
from lockcfg.report.untrusted import clean
from tests.report.lint import ROOT, RULES, diagnostic, empty, hostile_results, rendered, sample

if TYPE_CHECKING:
    from collections.abc import Iterable

PASSWORD = "hunter2" * 20


def test_the_table_names_the_modules_there_are() -> None:
    """None is forgotten, and each can write."""
    folder = Path(lockcfg.report.lint.__file__).parent
    modules = {f"lockcfg.report.lint.{path.stem}" for path in folder.glob("[!_]*.py")}
    assert set(FORMATS.values()) == modules
    for module in FORMATS.values():
        assert callable(import_module(module).write)


@pytest.mark.parametrize(
    ("command", "formats"),
    [("lint", FORMATS), ("audit", audit.FORMATS), ("doctor", doctor.FORMATS)],
)
def test_the_command_line_offers_the_formats(command: str, formats: Iterable[str]) -> None:
    """A line in the table is enough."""
    usage = " ".join(parser_of(command).format_usage().split())
    assert f"--format {{{','.join(formats)}}}" in usage


@pytest.mark.parametrize("statistics", [False, True])
def test_what_makes_no_sense_is_refused(statistics: bool) -> None:
    """Rather than answered with something else."""
    with pytest.raises(UsageError):
        rendered(empty(), "sarif" if statistics else "sarifx", statistics=statistics)


@pytest.mark.parametrize("format", FORMATS)
def test_the_output_is_the_same_on_every_run(format: str) -> None:
    """Byte for byte, and in the order of the result."""
    assert rendered(sample(), format) == rendered(sample(), format)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/srv/repository/hosts/a/qemu.conf", "hosts/a/qemu.conf"),
        ("/srv/repository/./hosts//a/../b/qemu.conf", "hosts/b/qemu.conf"),
        ("//srv/repository/qemu.conf", "qemu.conf"),
        ("/srv/repository-2/qemu.conf", "/srv/repository-2/qemu.conf"),
        ("/srv/repository/../x/qemu.conf", "/srv/x/qemu.conf"),
        ("/srv/repository/..x/qemu.conf", "..x/qemu.conf"),
        ("/srv/repository", "."),
        ("/etc/libvirt/qemu.conf", "/etc/libvirt/qemu.conf"),
    ],
)
def test_paths_inside_the_root_are_relative(path: str, expected: str) -> None:
    """And normalised: a leading ./ costs GitHub's annotations."""
    assert relative(path, ROOT) == expected
    assert relative(path, f"{ROOT}/./") == expected


def test_a_relative_path_is_one_from_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As paths on a command line are, wherever the root is."""
    (tmp_path / "hosts").mkdir()
    monkeypatch.chdir(tmp_path / "hosts")
    assert relative("./a/qemu.conf", str(tmp_path)) == "hosts/a/qemu.conf"
    assert relative("../qemu.conf", str(tmp_path)) == "qemu.conf"
    assert relative("a/qemu.conf", ".") == "a/qemu.conf"
    assert relative("/etc/qemu.conf", "/") == "etc/qemu.conf"


@pytest.mark.parametrize("format", FORMATS)
def test_paths_are_printed_relative(format: str) -> None:
    """In every format, of files that could not be read as well."""
    output = rendered(sample(), format)
    assert "hosts/a/qemu.conf" in output
    assert "hosts/d/qemu.conf" in output
    assert ROOT not in output


@pytest.mark.parametrize("format", FORMATS)
def test_no_password_is_printed(format: str) -> None:
    """Not out of the source line, however far to the right, a fix or a reason."""
    line = f'vnc_password = "{PASSWORD}" # x'
    fix = LintFix("safe", "quote it", [LintReplacement(1, 1, 1, 9, f'"{PASSWORD}"')])
    whole = LintFix("safe", "rewrite it", [LintReplacement(1, 1, 1, 9, f'{line}\n"')])
    waived = Suppression("inline", f"was vnc_password = '{PASSWORD}'")
    places = [Place(f"{ROOT}/f", 1, column, line, 1) for column in (1, 50, 120, len(line))]
    result = LintResult(
        [
            *(diagnostic(column, place=place) for column, place in enumerate(places)),
            diagnostic(10, place=places[0], key=None, fix=fix),
            diagnostic(11, place=None, key="vnc_password", fix=fix),
            diagnostic(12, place=None, key=None, fix=whole),
            diagnostic(13, suppression=waived),
        ],
        RULES,
        files=1,
        hosts=1,
    )
    assert "hunter2" not in rendered(result, format)


@pytest.mark.parametrize("format", FORMATS)
@given(result=hostile_results)
@settings(deadline=None, max_examples=50)
def test_no_output_drives_a_terminal(format: str, result: LintResult) -> None:
    """Nor has it what an encoding cannot hold; rendered() sees to that."""
    output = rendered(result, format)
    assert clean(output) == output
    assert output == rendered(result, format)


@pytest.mark.parametrize("format", FORMATS)
def test_the_time_is_linear(format: str) -> None:
    """Ten times the findings take about ten times as long."""

    def seconds(number: int) -> float:
        result = LintResult(
            [diagnostic(n, path=f"{ROOT}/hosts/{n // 10:06}/qemu.conf") for n in range(number)],
            RULES,
            files=number // 10,
            hosts=number // 10,
        )
        stream = io.StringIO()
        start = time.process_time()
        render(result, format, stream, root=ROOT)
        return time.process_time() - start

    seconds(100)  # imports
    assert seconds(10_000) < 30 * max(seconds(1_000), 0.01)
