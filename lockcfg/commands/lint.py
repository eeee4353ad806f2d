"""``lockcfg lint``: a repository of configurations, checked in CI."""

from __future__ import annotations

import os
import sys

from lockcfg.conf.files import KINDS, kind_named
from lockcfg.errors import LockcfgError, UsageError
from lockcfg.findings import SEVERITIES
from lockcfg.report import terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from lockcfg.lint.result import LintResult
    from lockcfg.lint.settings import Settings

SUMMARY = "check a repository of configurations"
DESCRIPTION = """\
Check all of libvirt's files at and below the paths given, by a catalogue of rules: what libvirt
would refuse or ignore, what leaves disks without protection, what is too small, which password
should not be there, which host is unlike the others. 'lockcfg rules' lists the rules, 'lockcfg
explain LK101' tells about one.

Files are found by their names, in any layout; templates are passed over with a note. Settings
are read from .lockcfg.yaml or pyproject.toml.

The exit status is 0 where nothing is found that counts, 1 where something is, 2 for wrong usage
or settings, 3 where a file could not be read; it does not depend on the format.
"""
EXAMPLES = (
    ("lockcfg lint", "everything below this directory"),
    ("lockcfg lint --fix hosts", "mend what can be mended without harm"),
    ("lockcfg lint --format sarif --output-file lint.sarif hosts", "for a code scanning service"),
    ("lockcfg lint --write-baseline known.json hosts", "begin with what is there"),
)

FORMATS = ("text", "json", "sarif", "github", "gitlab", "junit", "checkstyle", "azure")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    parser.add_argument("paths", nargs="*", metavar="PATH", help="where to look (default: .)")
    what = parser.add_argument_group("what to look for")
    what.add_argument("--select", metavar="RULES", help="only these rules: codes, names, LK1 …")
    what.add_argument("--ignore", metavar="RULES", help="not these rules")
    what.add_argument(
        "--libvirt-version", metavar="VERSION", help="the libvirt that reads the files"
    )
    what.add_argument("--guests", type=int, metavar="N", help="the most guests on a host")
    what.add_argument("--settings", metavar="FILE", help="the settings file, instead of the found")
    mend = parser.add_argument_group("mending")
    mend.add_argument("--fix", action="store_true", help="apply the safe fixes")
    mend.add_argument("--unsafe-fixes", action="store_true", help="apply the unsafe ones as well")
    mend.add_argument("--diff", action="store_true", help="show what would be applied, and do not")
    known = parser.add_argument_group("known findings")
    known.add_argument("--baseline", metavar="FILE", help="findings in FILE do not count")
    known.add_argument(
        "--write-baseline", metavar="FILE", help="write the findings that count to FILE"
    )
    output = parser.add_argument_group("output")
    output.add_argument("--format", choices=FORMATS, default="text", help="(default: text)")
    output.add_argument(
        "--output-file",
        metavar="FILE",
        default=os.environ.get("LOCKCFG_OUTPUT_FILE"),
        help="write there instead (default: $LOCKCFG_OUTPUT_FILE, or standard output)",
    )
    output.add_argument("--statistics", action="store_true", help="count by rule, list nothing")
    output.add_argument(
        "--fail-level",
        choices=SEVERITIES,
        help="the least severity that makes the exit status 1 (default: warning)",
    )
    parser.add_argument(
        "--stdin-filename",
        metavar="PATH",
        help="read one file from standard input, as if it were at PATH",
    )


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    from lockcfg.report.lint import render

    settings = _settings(arguments)
    for path in arguments.paths:
        if not os.path.lexists(path):
            raise UsageError(f"{path}: there is no such file or directory")
    if arguments.fix or arguments.unsafe_fixes or arguments.diff:
        result = _mend(settings, arguments)
        if arguments.diff:
            return 1 if _fails(result, settings) else 0
    else:
        result = _lint(settings, arguments)
    if arguments.write_baseline is not None:
        _write_baseline(result, settings, arguments.write_baseline)
        return 3 if result.unreadable else 0
    if arguments.output_file:
        try:
            with open(arguments.output_file, "w", encoding="utf-8") as stream:
                render(
                    result,
                    arguments.format,
                    stream,
                    root=settings.root,
                    statistics=arguments.statistics,
                )
        except OSError as error:
            raise LockcfgError(f"{arguments.output_file}: {error.strerror}") from error
    else:
        render(
            result,
            arguments.format,
            sys.stdout,
            root=os.getcwd() if arguments.format == "text" else settings.root,
            statistics=arguments.statistics,
        )
    if result.unreadable:
        return 3
    return 1 if _fails(result, settings) else 0


def _fails(result: LintResult, settings: Settings) -> bool:
    level = SEVERITIES.index(settings.fail_level)
    return any(SEVERITIES.index(each.finding.severity) <= level for each in result.counted)


def _settings(arguments: argparse.Namespace) -> Settings:
    from lockcfg.lint.settings import check_names, load_settings, version

    start = arguments.stdin_filename or (arguments.paths[0] if arguments.paths else ".")
    settings = load_settings(start, arguments.settings)
    changes: dict[str, object] = {}
    for option in ("select", "ignore"):
        text = getattr(arguments, option)
        if text is not None:
            names = [name.strip() for name in text.split(",") if name.strip()]
            check_names(names, f"--{option}")
            changes[option] = names if option == "select" else [*settings.ignore, *names]
    if arguments.fail_level is not None:
        changes["fail_level"] = arguments.fail_level
    if arguments.baseline is not None:
        changes["baseline"] = arguments.baseline
    if arguments.write_baseline is not None:
        changes["baseline"] = None
    options: dict[str, object] = {}
    if arguments.libvirt_version is not None:
        options["libvirt_version"] = version(arguments.libvirt_version)
    if arguments.guests is not None:
        options["guests"] = arguments.guests
    if options:
        changes["options"] = settings.options.replace(**options)
    return settings.replace(**changes)


def _lint(settings: Settings, arguments: argparse.Namespace) -> LintResult:
    from importlib.metadata import version

    from lockcfg.lint.engine import Linter

    progress = _progress() if sys.stderr.isatty() else None
    linter = Linter(settings, version=version("lockcfg"), progress=progress)
    if arguments.stdin_filename is not None:
        text = sys.stdin.buffer.read(10 * 1024 * 1024 + 1)
        return linter.run_text(text, arguments.stdin_filename, kind_named(arguments.stdin_filename))
    result = linter.run(arguments.paths or ["."])
    if progress is not None:
        sys.stderr.write("\r\x1b[K")
    return result


def _progress() -> Callable[[int], None]:
    def show(files: int) -> None:
        sys.stderr.write(f"\r{files} files")
        sys.stderr.flush()

    return show


def _mend(settings: Settings, arguments: argparse.Namespace) -> LintResult:
    """Apply fixes until there are none left; with ``--diff`` show the first round's only."""
    from lockcfg.conf.load import parse, read_bytes
    from lockcfg.conf.save import Write, save
    from lockcfg.lint.fixes import applied, fixable

    if arguments.stdin_filename is not None:
        raise UsageError("--fix, --unsafe-fixes and --diff need files, not standard input")
    result = _lint(settings, arguments)
    # Bounded: a fix that does not settle is a defect of a rule, and its finding stays.
    for _ in range(10):
        fixes = fixable(result, unsafe=arguments.unsafe_fixes)
        if not fixes:
            break
        for path, of_file in fixes.items():
            old = read_bytes(path)
            new = applied(old, of_file)
            kind = KINDS[os.path.basename(path)]
            parse(new, kind, path)  # a fix never makes a file that cannot be read
            if arguments.diff:
                _show_diff(path, old, new)
            else:
                save([Write(path, old, new, kind.mode)])
        if arguments.diff:
            break
        result = _lint(settings, arguments)
    return result


def _show_diff(path: str, old: bytes, new: bytes) -> None:
    from difflib import unified_diff

    from lockcfg.conf.document import decode

    lines = unified_diff(
        decode(old).splitlines(), decode(new).splitlines(), path, path, lineterm=""
    )
    terminal.stdout().diff(lines)


def _write_baseline(result: LintResult, settings: Settings, path: str) -> None:
    from lockcfg.conf.load import read_bytes
    from lockcfg.conf.save import Write, save
    from lockcfg.lint.baseline import render

    text = render(
        result.counted, {d.finding.path: settings.relative(d.finding.path) for d in result.counted}
    )
    old = read_bytes(path) if os.path.lexists(path) else None
    save([Write(os.path.abspath(path), old, text.encode(), 0o644)])
    terminal.stdout().line(f"{len(result.counted)} findings written to {terminal.escape(path)}")
