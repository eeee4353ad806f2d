"""The command line: find the command, let it parse its arguments, run it, report errors.

A command is a module of :mod:`lockcfg.commands` with ``SUMMARY``, ``DESCRIPTION`` and
``EXAMPLES`` (command lines, each with what it does), ``add_arguments(parser)`` and
``run(arguments) -> int``. Only the one that runs is imported.
"""

from __future__ import annotations

import argparse
import gc
import io
import os
import sys

from lockcfg.errors import LockcfgError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final, Protocol

    class Command(Protocol):
        """What a module of :mod:`lockcfg.commands` has."""

        SUMMARY: str
        DESCRIPTION: str
        EXAMPLES: Sequence[tuple[str, str]]

        def add_arguments(self, parser: argparse.ArgumentParser) -> None:
            """Add the command's arguments to its parser."""

        def run(self, arguments: argparse.Namespace) -> int:
            """Do the work and return the exit status."""


#: Every command, in the order of the help.
COMMANDS: Final = (
    "show",
    "doctor",
    "get",
    "set",
    "unset",
    "enable",
    "disable",
    "validate",
    "lint",
    "collect",
    "audit",
    "plan",
    "rules",
    "explain",
    "diff",
    "schema",
    "completion",
)

DESCRIPTION: Final = (
    "Configure and check the locking of virtual machine disks under libvirt, so that no disk is"
    " written by two guests at once."
)

EPILOG: Final = """\
Exit status: 0 fine, 1 findings or a negative answer, 2 wrong usage, 3 could not do it.

Every command has a --help of its own, with examples.
"""


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """argparse's own, told the width: to find it, it would load ``shutil`` at every start."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_width())


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
    parser = argparse.ArgumentParser(
        prog=f"lockcfg {name}",
        description=module.DESCRIPTION,
        epilog=_examples(module),
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    return parser


def full_parser() -> argparse.ArgumentParser:
    """The parser of everything, for the help, the man page and completion."""
    parser = argparse.ArgumentParser(
        prog="lockcfg",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    for name in COMMANDS:
        module = command(name)
        subparser = commands.add_parser(
            name,
            help=module.SUMMARY,
            description=module.DESCRIPTION,
            epilog=_examples(module),
            formatter_class=HelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(subparser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status; the entry point of ``lockcfg``."""
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        if argv and argv[0] in COMMANDS:
            arguments = parser_of(argv[0]).parse_args(argv[1:])
            return _run(command(argv[0]), arguments)
        parser = full_parser()
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
    try:
        status = module.run(arguments)
        sys.stdout.flush()
    except LockcfgError as error:
        _report(error, as_json=getattr(arguments, "json", False))
        return error.exit_code
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        where = f"{error.filename}: " if error.filename else ""
        _report(LockcfgError(f"{where}{error.strerror or error}"), as_json=False)
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


def _version() -> str:
    from importlib.metadata import version

    return f"lockcfg {version('lockcfg')}"
