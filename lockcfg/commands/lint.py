"""``lockcfg lint``: a repository of configurations, checked in CI."""

from __future__ import annotations

import os
import sys

from lockcfg.commands.arguments import output_of
from lockcfg.conf.files import READ
from lockcfg.counted import counted
from lockcfg.errors import ChangedError, ReadError, UsageError
from lockcfg.findings import SEVERITIES, Finding
from lockcfg.host.installed import libvirt_release, parse_release
from lockcfg.report import terminal
from lockcfg.report.lint import FORMATS
from lockcfg.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from typing import TextIO

    from lockcfg.conf.save import Write
    from lockcfg.lint.result import LintResult
    from lockcfg.lint.settings import LintSettings

DESCRIPTION = """\
Check all of libvirt's files at and below the paths given, by a catalogue of rules: what libvirt
would refuse or ignore, what leaves disks without protection, what is too small, which password
should not be there, which host is unlike the others. 'lockcfg rules' lists the rules, 'lockcfg
explain LK101' tells about one.

Files are found by their names, in any layout. Templates are passed over with a note, or rendered by
a command that you name with --render and checked then. Settings are read from .lockcfg.yaml or
pyproject.toml.

The exit status is 0 without findings that count, 1 with some, 2 for wrong usage or settings, 3 if a
file could not be read; it does not depend on the format.
"""
EXAMPLES = (
    ("lockcfg lint", "everything below this directory"),
    ("lockcfg lint --fix hosts", "apply safe fixes"),
    ("lockcfg lint --format sarif --output-file lint.sarif hosts", "for a code scanning service"),
    ("lockcfg lint --write-baseline known.json hosts", "accept the findings of today"),
)


#: The variable that names the file to write, and those that tell who has become root.
_OUTPUT_FILE = "LOCKCFG_OUTPUT_FILE"
_BECOMING_ROOT = {"SUDO_UID", "DOAS_USER", "PKEXEC_UID"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    parser.add_argument("paths", nargs="*", metavar="PATH", help="where to look (default: .)")
    what = parser.add_argument_group("what to look for")
    what.add_argument("--select", metavar="RULES", help="only these rules: codes, names, LK1 …")
    what.add_argument("--ignore", metavar="RULES", help="not these rules")
    what.add_argument(
        "--libvirt-version",
        metavar="VERSION",
        help="the libvirt that reads the files (default: the one installed, else the newest)",
    )
    what.add_argument("--guests", type=int, metavar="N", help="the most guests on a host")
    what.add_argument(
        "--settings", metavar="FILE", help="the settings file to use, instead of the nearest one"
    )
    what.add_argument(
        "--render",
        metavar="COMMAND",
        help="check templates, too: what COMMAND prints for each; {} becomes its path",
    )
    mend = parser.add_argument_group("fixing")
    mend.add_argument("--fix", action="store_true", help="apply the safe fixes")
    mend.add_argument("--unsafe-fixes", action="store_true", help="apply the unsafe ones as well")
    mend.add_argument(
        "--diff", action="store_true", help="show what would be applied, and change nothing"
    )
    known = parser.add_argument_group("known findings")
    known.add_argument("--baseline", metavar="FILE", help="findings in FILE do not count")
    known.add_argument(
        "--write-baseline", metavar="FILE", help="write the findings that count to FILE"
    )
    output = parser.add_argument_group("output")
    output.add_argument("--format", choices=FORMATS, default="text", help="(default: text)")
    output.add_argument(
        "--json", dest="format", action="store_const", const="json", help="--format json"
    )
    output.add_argument(
        "--output-file",
        metavar="FILE",
        default=os.environ.get(_OUTPUT_FILE),
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
    from lockcfg.lint.settings_search import repository_of
    from lockcfg.report.lint import render

    _check_usage(arguments)
    _check_environment(arguments)
    settings = _settings(arguments)
    result = _lint(settings, arguments)
    if arguments.diff:
        with output_of(arguments) as stream:
            for write in _changes(result, unsafe=arguments.unsafe_fixes):
                _show_diff(write, stream)
        return _report_unreadable(result) or _status(result, settings)
    if arguments.fix or arguments.unsafe_fixes:
        result = _mend(result, settings, arguments)
    if arguments.write_baseline is not None:
        _write_baseline(result, settings, arguments.write_baseline)
        return _report_unreadable(result)
    root = os.getcwd()
    if arguments.format != "text":
        root = repository_of(_start(arguments)) or settings.root
    with output_of(arguments) as stream:
        render(result, arguments.format, stream, root=root, statistics=arguments.statistics)
    return _status(result, settings)


def _check_environment(arguments: argparse.Namespace) -> None:
    """Refuse to write the file that the environment names if a user has become root by one of these
    programs: the variable may be stale, or another user may have set it."""
    path = os.environ.get(_OUTPUT_FILE)
    if path and arguments.output_file == path and not _BECOMING_ROOT.isdisjoint(os.environ):
        raise UsageError(
            f"{_OUTPUT_FILE} names {path}, and comes from the environment of the user who has"
            " become root: name the file with --output-file",
            help="or unset the variable",
        )


def _check_usage(arguments: argparse.Namespace) -> None:
    """Refuse arguments that contradict each other, before anything is read or written. Raises
    UsageError."""
    from lockcfg.lint.discover import TEMPLATE_SUFFIXES, is_file_of_ours

    if arguments.statistics and arguments.format != "text":
        raise UsageError(f"--statistics is for the format text, not for {arguments.format}")
    if arguments.diff and (arguments.write_baseline is not None or arguments.format != "text"):
        raise UsageError("--diff prints a diff, and neither a report nor a baseline")
    if arguments.guests is not None and arguments.guests < 0:
        raise UsageError("--guests: write a number from 0 on")
    if arguments.stdin_filename is not None:
        if arguments.render is not None:
            raise UsageError("--render needs files, not standard input")
        if arguments.fix or arguments.unsafe_fixes or arguments.diff:
            raise UsageError("--fix, --unsafe-fixes and --diff need files, not standard input")
        if arguments.paths:
            raise UsageError("--stdin-filename is instead of paths")
        if os.path.basename(arguments.stdin_filename) not in READ:
            raise _unknown_kind(arguments.stdin_filename)
    for path in arguments.paths:
        if not os.path.lexists(path):
            raise UsageError(f"{path}: there is no such file or directory")
        if not (os.path.isdir(path) or is_file_of_ours(path) or path.endswith(TEMPLATE_SUFFIXES)):
            raise _unknown_kind(path)


def _unknown_kind(path: str) -> UsageError:
    return UsageError(
        f"cannot tell what kind of file '{path}' is",
        help=f"its name should be one of {', '.join(sorted(READ))}",
    )


def _status(result: LintResult, settings: LintSettings) -> int:
    """The exit status that a finished run comes to."""
    if result.unreadable:
        return ReadError.exit_code
    level = SEVERITIES.index(settings.fail_level)
    return int(any(SEVERITIES.index(each.finding.severity) <= level for each in result.counted))


def _report_unreadable(result: LintResult) -> int:
    """Report what could not be read if no report does, and return the exit status for it."""
    from lockcfg.report.diagnostics import relative

    for path, why in result.unreadable:
        path = relative(path, os.getcwd())
        terminal.stderr().finding(Finding("", "error", f"cannot be read: {why}", path=path))
    return ReadError.exit_code if result.unreadable else 0


def _start(arguments: argparse.Namespace) -> str:
    """The path from which to look for the settings and the repository."""
    path: str = arguments.stdin_filename or (arguments.paths[0] if arguments.paths else ".")
    return path


def _settings(arguments: argparse.Namespace) -> LintSettings:
    from lockcfg.lint.settings import check_names
    from lockcfg.lint.settings_search import load_settings

    try:
        settings = load_settings(_start(arguments), arguments.settings)
    except (ReadError, UsageError) as error:
        # It quotes the file, which may contain anything.
        from lockcfg.report.secrets import hide_secrets

        error.message = hide_secrets(error.message)
        raise
    changes: dict[str, object] = {}
    for option in ("select", "ignore"):
        text = getattr(arguments, option)
        if text is not None:
            names = [name.strip() for name in text.split(",") if name.strip()]
            if not names:
                raise UsageError(f"--{option}: no rule is named", help="see 'lockcfg rules'")
            check_names(names, f"--{option}")
            changes[option] = names if option == "select" else [*settings.ignore, *names]
    if arguments.fail_level is not None:
        changes["fail_level"] = arguments.fail_level
    if arguments.baseline is not None:
        changes["baseline"] = os.path.abspath(arguments.baseline)
    if arguments.write_baseline is not None:
        changes["baseline"] = None
    options: dict[str, object] = {"installed": libvirt_release()}
    if arguments.libvirt_version is not None:
        options["libvirt_version"] = parse_release(arguments.libvirt_version)
    if arguments.guests is not None:
        options["guests"] = arguments.guests
    changes["options"] = settings.options.replace(**options)
    return settings.replace(**changes)


def _lint(settings: LintSettings, arguments: argparse.Namespace) -> LintResult:
    from lockcfg.lint.engine import Linter

    progress = _progress() if sys.stderr is not None and sys.stderr.isatty() else None
    render = None
    if arguments.render is not None:
        from lockcfg.lint.rendering import renderer

        render = renderer(arguments.render)
    linter = Linter(settings, version=VERSION, progress=progress, render=render)
    if arguments.stdin_filename is not None:
        path = os.path.abspath(arguments.stdin_filename)
        return linter.run_text(_standard_input(), path, READ[os.path.basename(path)])
    # Absolute, so that one file has one path, however it was named.
    paths = [os.path.abspath(path) for path in arguments.paths or ["."]]
    try:
        return linter.run(paths)
    finally:
        if progress is not None:
            sys.stderr.write("\r\x1b[K")


def _standard_input() -> bytes:
    from lockcfg.conf.load import MAX_SIZE

    if sys.stdin is None:
        raise ReadError("standard input", "is closed")
    text = sys.stdin.buffer.read(MAX_SIZE + 1)
    if len(text) > MAX_SIZE:
        limit = MAX_SIZE // 1024 // 1024
        raise ReadError("standard input", f"is larger than {limit} MiB, libvirt's own limit")
    return text


def _progress() -> Callable[[int], None]:
    def show(files: int) -> None:
        sys.stderr.write(f"\r{counted(files, 'file')}")
        sys.stderr.flush()

    return show


def _mend(result: LintResult, settings: LintSettings, arguments: argparse.Namespace) -> LintResult:
    """Apply fixes until none is left, and return the last run."""
    from lockcfg.conf.save import save
    from lockcfg.lint.mended import mended

    written: set[str] = set()
    # Bounded: a fix that does not settle is a defect of a rule, and its finding stays.
    for _ in range(20):
        changed = False
        for write in _changes(result, unsafe=arguments.unsafe_fixes):
            save([write])
            written.add(write.path)
            changed = True
        if not changed:
            break
        result = _lint(settings, arguments)
    return result.replace(mended=tuple(mended(written)))


def _changes(result: LintResult, *, unsafe: bool) -> Iterator[Write]:
    """What the fixes of a run make of each file: once, if it has several names by links."""
    from lockcfg.conf.load import parse, read_bytes
    from lockcfg.conf.save import Write
    from lockcfg.lint.fixes import applied, are_for, fixable

    seen: set[str] = set()
    for path, fixes in fixable(result, unsafe=unsafe).items():
        target = os.path.realpath(path)
        if target in seen:
            continue
        seen.add(target)
        old = read_bytes(path)
        if not are_for(fixes, old):
            raise ChangedError(
                path,
                "was changed by another program in the meantime; it was not written",
                help="check the new value and try again",
            )
        new = applied(old, fixes)
        kind = READ[os.path.basename(path)]
        parse(new, kind, path)  # a fix never makes a file that cannot be read
        if new != old:
            yield Write(path, old, new, kind.mode)


def _show_diff(write: Write, stream: TextIO) -> None:
    from difflib import unified_diff

    from lockcfg.conf.document import decode
    from lockcfg.conf.load import parse
    from lockcfg.lint.conceal import PasswordFilter
    from lockcfg.report.diagnostics import relative

    kind, path = READ[os.path.basename(write.path)], relative(write.path, os.getcwd())
    assert write.old is not None
    # The compared text stands behind the shown text and a NUL, which neither text has.
    old, new = (
        [
            f"{shown}\0{line}"
            for shown, line in PasswordFilter(text, parse(text, kind, path)).lines(decode(text))
        ]
        for text in (write.old, write.new)
    )
    lines = unified_diff(old, new, path, path, lineterm="")
    terminal.Terminal(stream).diff(line.partition("\0")[0] for line in lines)


def _write_baseline(result: LintResult, settings: LintSettings, path: str) -> None:
    from lockcfg.draft import writing
    from lockcfg.lint.baseline import render

    text = render(
        result.counted, {d.finding.path: settings.relative(d.finding.path) for d in result.counted}
    )
    with writing(path) as stream:
        stream.write(text.encode())
    terminal.stdout().line(
        f"{counted(len(result.counted), 'finding')} written to {terminal.escape(path)}"
    )
