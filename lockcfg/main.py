"""The command line: find the command, let it parse its arguments, run it, report errors.

A command is a line in :data:`COMMANDS` and a module of :mod:`lockcfg.commands` with
``DESCRIPTION``, ``EXAMPLES`` (command lines, each with what it does), ``add_arguments(parser)`` and
``run(arguments) -> int``. Only the one that runs is imported.
"""

from __future__ import annotations

import argparse
import gc
import io
import os
import sys
from itertools import pairwise

from lockcfg.errors import LockcfgError, UsageError
from lockcfg.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final, NoReturn, Protocol

    class Command(Protocol):
        """What a module of :mod:`lockcfg.commands` has."""

        DESCRIPTION: str
        EXAMPLES: Sequence[tuple[str, str]]

        def add_arguments(self, parser: argparse.ArgumentParser) -> None:
            """Add the command's arguments to its parser."""

        def run(self, arguments: argparse.Namespace) -> int:
            """Do the work and return the exit status."""


#: Every command and what it does, in the order of the help.
COMMANDS: Final = {
    "show": "show the settings in force and what they protect",
    "doctor": "say whether every disk of every running guest is really locked",
    "who": "say who holds the lock of a disk, and whether that host lives",
    "release": "free what a host that is off still holds",
    "get": "print the value of a setting",
    "set": "set one or more settings",
    "unset": "take settings out, so that libvirt's defaults hold",
    "enable": "turn disk locking on, with the lockspaces given",
    "disable": "turn disk locking off",
    "validate": "check files against what libvirt accepts",
    "lint": "check a repository of configurations",
    "collect": "write what decides locking on this host, for an audit",
    "probe": "have hosts prove whose locks they see",
    "audit": "find out which hosts of a fleet exclude each other",
    "plan": "the safe order of changes that makes a fleet what its policy says",
    "rules": "list the rules of the linter and the audit",
    "explain": "tell about a rule, or about an error text or a lock as 'who' does",
    "diff": "compare what two configurations mean",
    "schema": "describe settings, or print a JSON Schema",
    "completion": "print a completion script for a shell",
}

DESCRIPTION: Final = (
    "Configure and check the locking of virtual machine disks under libvirt, so that no disk is"
    " written by two guests at once."
)

EPILOG: Final = """\
Exit status: 0 fine, 1 findings or a negative answer, 2 wrong usage, 3 could not do it.

Every command has a --help of its own, with examples.
"""


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """argparse's own, told the width: to find it, it would load ``shutil`` at every start. Since
    Python 3.14 it has colours too, for which it loads far more: that waits until it writes."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_width())

    def _set_color(self, *colors: object) -> None:
        self._colors = colors

    def __getattr__(self, name: str) -> object:
        colors = vars(self).pop("_colors", None)
        if colors is None:
            raise AttributeError(name)
        super()._set_color(*colors)  # type: ignore[misc]
        return getattr(self, name)


def _width() -> int:
    """The columns that help may take."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns) - 2
    try:
        return os.get_terminal_size().columns - 2
    except OSError:  # not a terminal
        return 78


def command(name: str) -> Command:
    """The module of a command."""
    from importlib import import_module

    module: Command = import_module(f"lockcfg.commands.{name}")
    return module


def parser_of(name: str) -> argparse.ArgumentParser:
    """The parser of one command."""
    module = command(name)
    parser = _Parser(
        prog=f"lockcfg {name}",
        description=module.DESCRIPTION,
        epilog=_examples(module),
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    return parser


def full_parser() -> argparse.ArgumentParser:
    """The parser of everything, for the man page and completion."""
    return _top_parser(whole=True)


def _top_parser(*, whole: bool = False) -> argparse.ArgumentParser:
    """The parser of the program itself; with the arguments of its commands if ``whole``."""
    parser = _Parser(
        prog="lockcfg",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"lockcfg {VERSION}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    for name, summary in COMMANDS.items():
        if not whole:
            commands.add_parser(name, help=summary, add_help=False)
            continue
        module = command(name)
        subparser = commands.add_parser(
            name,
            help=summary,
            description=module.DESCRIPTION,
            epilog=_examples(module),
            formatter_class=HelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(subparser)
    return parser


class _Parser(argparse.ArgumentParser):
    """argparse's own, whose error is JSON where JSON is asked for."""

    def error(self, message: str) -> NoReturn:
        """Report wrong usage, and exit."""
        if _wants_json(sys.argv[1:]):
            _report(UsageError(message, help=f"see '{self.prog} --help'"), as_json=True)
            raise SystemExit(UsageError.exit_code)
        super().error(message)


def _wants_json(argv: Sequence[str]) -> bool:
    """Whether a command line that cannot be parsed asks for JSON."""
    words = argv[: argv.index("--")] if "--" in argv else argv
    return "--json" in words or "--format=json" in words or ("--format", "json") in pairwise(words)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status; the entry point of ``lockcfg``."""
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        if argv and argv[0] in COMMANDS:
            arguments = parser_of(argv[0]).parse_args(argv[1:])
            return _run(command(argv[0]), arguments)
        parser = _top_parser()
        if not argv:
            parser.print_help(sys.stderr)
            return 2
        parser.parse_args(argv)  # --help, --version, or the error of an unknown command
    except BrokenPipeError:
        # The reader (head, say) has seen enough. Python would complain when it flushes.
        sys.stdout = None
        return 3
    except KeyboardInterrupt:
        return 130
    return 2


def entry() -> None:
    """The console command: as :func:`main`, and out without tearing the interpreter down.

    Taking every module apart costs a short command a tenth of its time and does nothing: what
    was written is flushed, and files are written before a command returns.
    """
    gc.disable()  # nothing here makes cycles worth the walks, which take a fifth of a long run
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Whatever a file, a path or a manual holds can be printed, whatever the locale.
        sys.stdout.reconfigure(errors="backslashreplace")
    status = main()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            try:
                stream.flush()
            except OSError:
                status = status or LockcfgError.exit_code
    os._exit(status)


def _run(module: Command, arguments: argparse.Namespace) -> int:
    # Where the report goes to a file, its format is not that of what is printed.
    to_file = getattr(arguments, "output_file", None)
    as_json = getattr(arguments, "json", False) or (
        getattr(arguments, "format", "") == "json" and not to_file
    )
    try:
        status = module.run(arguments)
        sys.stdout.flush()
    except LockcfgError as error:
        _report(error, as_json=as_json)
        return error.exit_code
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        where = f"{error.filename}: " if error.filename else ""
        _report(LockcfgError(f"{where}{error.strerror or error}"), as_json=as_json)
        return LockcfgError.exit_code
    return status


def _report(error: LockcfgError, *, as_json: bool) -> None:
    from lockcfg.report import jsonreport, terminal

    if as_json:
        jsonreport.write(jsonreport.error(error))
        return
    screen = terminal.stderr()
    for finding in getattr(error, "findings", ()):
        screen.finding(finding)
    screen.error(error)


def _examples(module: Command) -> str:
    lines = [f"  {line}\n      {what}" for line, what in module.EXAMPLES]
    return "examples:\n" + "\n".join(lines)
