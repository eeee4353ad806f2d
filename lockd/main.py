"""The command line: virtlockd's, word for word, and lockd's own commands and options.

``lockd`` alone is the daemon. Without a service manager it runs under a small supervisor of its
own (:mod:`lockd.survival.supervisor`). ``lockd status`` and ``lockd locks`` ask a running one.
"""

from __future__ import annotations

import gc
import getopt
import os
import sys
from contextlib import suppress

from lockd import __version__
from lockd.daemon.options import BAD_CONFIGURATION, BAD_USAGE, OK, Options, complain, program
from lockd.daemon.paths import Paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from lockd.daemon.settings import Reading
    from lockd.survival.restart_file import State

_USAGE: Final = """\
Usage:
  {program} [options]
  {program} status [--json] [--socket <path>]
  {program} locks [--json] [--socket <path>]
  {program} events [--follow] [--json] [--socket <path>]
  {program} metrics [--listen <address>|--textfile <file> [--every <secs>]]
           [--socket <path>]
  {program} adopt [--dry-run] [--wait <secs>] [--json] [--socket <path>]
           {{--all|<guest>...}}
  {program} resume [--socket <path>] <guest>
  {program} run [--lock <path>]... -- <command>
  {program} takeover [--dry-run] [--pid <pid>]
  {program} handback [--dry-run] [--program <path>]

Options:
  -h | --help            Display program help
  -v | --verbose         Verbose messages
  -d | --daemon          Run as a daemon & write PID file
  -t | --timeout <secs>  Exit after timeout period
  -f | --config <file>   Configuration file
  -V | --version         Display version information
  -p | --pid-file <file> Change name of PID file
       --check-config    Only check the configuration
       --check-interval <secs>
                         Check every lock that often (10; 0: never)
       --adopt           Take the locks of guests that run without them, at the
                         start of lockd and of libvirtd
       --heartbeat <secs>
                         Write that often into each lockspace that this host
                         lives (0: never)
       --takes-over <n>  Whether it can take over from a daemon whose journal
                         has that format (exit status 0 or 1), for SIGUSR1

lockd holds the locks of running guests, in virtlockd's place. 'status'
prints the state of a running lockd, 'locks' the locks that it holds, 'events'
what has happened to them, and 'metrics' prints or serves its metrics; 'adopt'
takes the locks that running guests lack; 'resume' resumes a guest that is
paused for a lost lock; 'run' runs QEMU without libvirt, under the locks of its
disks; 'takeover' puts lockd in the place of a running virtlockd, and 'handback'
virtlockd in the place of a running lockd, with all locks held and all guests
running.

    Configuration file (unless overridden by -f):
      {configuration}/virtlockd.conf

    What virtlockd has no settings for:
      {configuration}/lockd.conf

    Sockets:
      {run}/virtlockd-sock
      {run}/virtlockd-admin-sock

    PID file (unless overridden by -p):
      {pid_file}

Exit status: 0 fine; 1 wrong usage, another daemon runs or no log; 2 no run
directory; 6 no socket; 78 an error in the configuration. Of 'status' and
'locks': 1 locks are in danger, 2 wrong usage, 3 no daemon answers.
"""


_SHORT: Final = "df:t:p:vVh"
_LONG: Final = [
    "verbose",
    "daemon",
    "config=",
    "timeout=",
    "pid-file=",
    "version",
    "help",
    "check-config",
    "check-interval=",
    "adopt",
    "heartbeat=",
    "takes-over=",
]


def entry() -> None:
    """The program."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run the program; returns its exit status."""
    if arguments and arguments[0] in ("status", "locks"):
        from lockd.query import main as query

        return query(arguments, Paths().socket("admin"))
    if arguments and arguments[0] == "events":
        from lockd.follow import main as follow

        return follow(arguments, Paths().socket("admin"))
    if arguments and arguments[0] == "metrics":
        from lockd.exporter import main as export

        return export(arguments, Paths().socket("admin"))
    if arguments and arguments[0] == "adopt":
        from lockd.adopt import main as adopt

        return adopt(arguments, Paths().socket("admin"))
    if arguments and arguments[0] == "resume":
        from lockd.resume import main as resume

        return resume(arguments, Paths().socket("admin"))
    if arguments and arguments[0] == "run":
        from lockd.run import main as run

        return run(arguments, Paths().socket("virtlockd"))
    if arguments and arguments[0] in ("takeover", "handback"):
        from lockd.move.command import main as move

        paths = Paths()
        return move(arguments, paths.socket("admin"), paths.virtlockd)
    try:
        options = _parse(arguments)
    except getopt.GetoptError as error:
        complain(error.msg)
        sys.stderr.write(_usage())
        return BAD_USAGE
    if options is None:
        return OK
    if options.takes_over is not None:
        return _takes_over(options)
    return _run(options)


def _parse(arguments: Sequence[str]) -> Options | None:
    """The options. None if the command line asked only for the help or the version. Raises
    GetoptError.

    As in virtlockd, the options are read in order: the first that is wrong or asks for the help
    counts.
    """
    found, wrong = _well_formed(arguments)
    options = Options()
    for option, value in found:
        if option in ("-h", "--help"):
            sys.stderr.write(_usage())
            return None
        if option in ("-V", "--version"):
            sys.stdout.write(f"{program()} (lockcfg) {__version__}\n")
            return None
        if option in ("-v", "--verbose"):
            options.verbose = True
        elif option in ("-d", "--daemon"):
            options.daemon = True
        elif option in ("-f", "--config"):
            options.config = os.path.abspath(value)
        elif option in ("-p", "--pid-file"):
            options.pid_file = os.path.abspath(value)
        elif option in ("-t", "--timeout"):
            options.timeout = int(_number(option, value, whole=True))
        elif option == "--check-config":
            options.check_config = True
        elif option == "--check-interval":
            options.check_interval = _number(option, value)
        elif option == "--adopt":
            options.adopt = True
        elif option == "--heartbeat":
            options.heartbeat = _number(option, value)
        elif option == "--takes-over":
            options.takes_over = int(_number(option, value, whole=True))
    if wrong is not None:
        raise wrong
    return options


def _well_formed(
    arguments: Sequence[str],
) -> tuple[list[tuple[str, str]], getopt.GetoptError | None]:
    """The options before the first unknown one, and what is wrong with that one."""
    wrong = None
    for end in range(len(arguments), -1, -1):
        try:
            return getopt.gnu_getopt(list(arguments[:end]), _SHORT, _LONG)[0], wrong
        except getopt.GetoptError as error:
            wrong = wrong or error
    raise AssertionError("no arguments at all are always fine")


def _number(option: str, value: str, *, whole: bool = False) -> float:
    digits = value if whole else value.replace(".", "", 1)
    if not (digits.isascii() and digits.isdecimal()) or float(value) >= 1 << 31:
        raise getopt.GetoptError(f"'{value}' is not a number of seconds, as {option} takes it")
    return float(value)


def _takes_over(options: Options) -> int:
    """Whether this version can take over from a journal of that format, with this configuration."""
    from lockd.daemon.configuration import read_settings
    from lockd.survival.journal import READABLE

    if options.takes_over not in READABLE:
        complain(f"this version knows no journal of format {options.takes_over}")
        return 1
    # Everything that a start needs, so that a missing part shows here.
    import lockd.daemon.serving
    import lockd.daemon.virtlockd  # noqa: F401

    return 0 if read_settings(options) is not None else 1


def _run(options: Options) -> int:
    gc.disable()  # nearly all that is made until the daemon runs stays
    from lockd.daemon.configuration import begin_reading, read_settings, result_of

    if options.check_config:
        settings = read_settings(options)
        for warning in settings.warnings if settings is not None else ():
            complain(f"warning: {warning}")
        return OK if settings is not None else BAD_CONFIGURATION
    paths = Paths()
    # First of all: to load the rest takes as long. And a daemon in the background could not tell
    # you of errors.
    reading = begin_reading(options)
    from lockd.survival import handover

    was_virtlockd = _was_virtlockd(paths, reading)
    managed = bool(os.environ.get("NOTIFY_SOCKET")) or handover.SUPERVISED in os.environ
    continues = handover.HANDS_BACK in os.environ or handover.goes_on_in_place(os.environ)
    if managed or continues or was_virtlockd is not None:
        from lockd.daemon.serving import serve

        return serve(options, paths, was_virtlockd, reading=reading)
    from lockd.daemon.supervising import supervise, supervise_again

    kept = handover.kept_for_supervisor(os.environ)
    if kept:
        return supervise_again(options, paths, kept, reading)
    from lockd.daemon.serving import serve

    settings = result_of(reading)
    if settings is None:
        return BAD_CONFIGURATION
    return supervise(settings, options, paths, serve)


def _was_virtlockd(paths: Paths, reading: Reading) -> State | None:
    """The state that virtlockd has left for this process, if the process was virtlockd; else None.

    If the state cannot be taken over, virtlockd continues in this process, if it can be found.
    """
    from lockd.survival import handover

    # The file may still be there when this process has taken over from it, and goes on as something
    # else.
    if handover.is_from_lockd(os.environ) or not os.path.exists(paths.restart_file):
        return None
    from lockd.daemon import virtlockd
    from lockd.daemon.configuration import result_of
    from lockd.daemon.settings import SettingsError
    from lockd.survival.restart_file import RestartFileError

    try:
        state = virtlockd.left_for_us(paths.restart_file)
        if state is None or result_of(reading) is not None:
            return state
        why = "the configuration has errors"
    except RestartFileError as error:
        why = f"{paths.restart_file}: {error}"
        with suppress(SettingsError):
            reading.result()  # virtlockd does not expect another process's end
    complain(f"this virtlockd cannot be taken over: {why}: going back to it")
    try:
        virtlockd.go_on(paths.virtlockd, [sys.argv[0], *sys.argv[1:]])
    except OSError as error:
        complain(f"{paths.virtlockd}: {error.strerror}")
    sys.exit(BAD_CONFIGURATION)


def _usage() -> str:
    paths = Paths()
    from lockd.daemon.settings import configuration_directory

    return _USAGE.format(
        program=program(),
        configuration=configuration_directory(),
        run=paths.run,
        pid_file=paths.pid_file,
    )
