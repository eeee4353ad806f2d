"""The command line: virtlockd's, word for word, and some of our own.

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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

    from lockd.daemon.settings import DaemonSettings, Reading
    from lockd.kernel.background import PidFile
    from lockd.log import Logging

# Exit statuses: virtlockd's where it has one, else sysexits.h's for a bad configuration.
OK: Final = 0
BAD_USAGE: Final = 1
BAD_LOG: Final = 1
BAD_PID_FILE: Final = 1
BAD_RUN_DIRECTORY: Final = 2
BAD_SOCKET: Final = 6
BAD_CONFIGURATION: Final = 78

#: How seldom garbage is collected: calls leave none behind, and it takes milliseconds.
_GARBAGE: Final = (50_000, 20, 100)

_USAGE: Final = """\
Usage:
  {program} [options]
  {program} status [--json] [--socket <path>]
  {program} locks [--json] [--socket <path>]

Options:
  -h | --help            Display program help
  -v | --verbose         Verbose messages
  -d | --daemon          Run as a daemon & write PID file
  -t | --timeout <secs>  Exit after timeout period
  -f | --config <file>   Configuration file
  -V | --version         Display version information
  -p | --pid-file <file> Change name of PID file
       --check-config    Check the configuration, and do no more
       --check-interval <secs>
                         Look at every lock that often (10; 0: never)
       --takes-over <n>  Whether it can take over from a daemon whose journal
                         has that format (exit status 0 or 1), for SIGUSR1

lockd holds the locks of running guests, in virtlockd's place. 'status' and
'locks' ask a running lockd how it does and what it holds.

    Configuration file (unless overridden by -f):
      {configuration}/virtlockd.conf

    Sockets:
      {run}/virtlockd-sock
      {run}/virtlockd-admin-sock

    PID file (unless overridden by -p):
      {pid_file}

Exit status: 0 fine; 1 wrong usage, another one running or no log; 2 no run
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
    "takes-over=",
]


class Options:
    """What the command line asks for."""

    def __init__(self) -> None:
        self.verbose = False
        self.daemon = False
        self.timeout = 0
        self.config: str | None = None
        self.pid_file = ""
        self.check_config = False
        self.check_interval = 10.0
        self.takes_over: int | None = None


_NOT_STARTED: Final = {BAD_SOCKET: "Unable to initialize network sockets"}


class Paths:
    """Where the daemon of this user has its files."""

    def __init__(self) -> None:
        self.privileged: Final = os.geteuid() == 0
        cache = os.path.join(
            os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "libvirt"
        )
        if self.privileged:
            self.run = "/run/libvirt"
            self.log = "/var/log/libvirt/virtlockd.log"
            self.pid_file = "/run/virtlockd.pid"
        else:
            runtime = os.environ.get("XDG_RUNTIME_DIR")
            self.run = os.path.join(runtime, "libvirt") if runtime else cache
            self.log = os.path.join(cache, "virtlockd.log")
            self.pid_file = os.path.join(self.run, "virtlockd.pid")

    def socket(self, service: str) -> str:
        """The socket of a service."""
        return os.path.join(
            self.run, "virtlockd-admin-sock" if service == "admin" else "virtlockd-sock"
        )

    @property
    def notify(self) -> str:
        """The notify socket of our own supervisor."""
        return os.path.join(self.run, "virtlockd-notify")

    def descriptions(self) -> list[str]:
        """The directories where libvirt describes guests, those that run first."""
        if self.privileged:
            return [
                "/run/libvirt/qemu",
                "/etc/libvirt/qemu",
                "/run/libvirt/libxl",
                "/etc/libvirt/libxl",
            ]
        from lockd.daemon.settings import configuration_directory

        return [
            os.path.join(self.run, "qemu", "run"),
            os.path.join(configuration_directory(), "qemu"),
        ]


def entry() -> None:
    """The program."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run the program; returns its exit status."""
    if arguments and arguments[0] in ("status", "locks"):
        from lockd.query import main as query

        return query(arguments, Paths().socket("admin"))
    try:
        options = _parse(arguments)
    except getopt.GetoptError as error:
        _complain(error.msg)
        sys.stderr.write(_usage())
        return BAD_USAGE
    if options is None:
        return OK
    if options.takes_over is not None:
        return _takes_over(options)
    return _run(options)


def _parse(arguments: Sequence[str]) -> Options | None:
    """The options; None where the help or the version was all that was asked for. Raises
    GetoptError.

    As in virtlockd, each is looked at in its turn: of two, the first counts that is wrong or asks
    for the help.
    """
    found, wrong = _well_formed(arguments)
    options = Options()
    for option, value in found:
        if option in ("-h", "--help"):
            sys.stderr.write(_usage())
            return None
        if option in ("-V", "--version"):
            sys.stdout.write(f"{_program()} (lockcfg) {__version__}\n")
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
        elif option == "--takes-over":
            options.takes_over = int(_number(option, value, whole=True))
    if wrong is not None:
        raise wrong
    return options


def _well_formed(
    arguments: Sequence[str],
) -> tuple[list[tuple[str, str]], getopt.GetoptError | None]:
    """The options before the first one that there is not, and what is wrong with that one."""
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
        raise getopt.GetoptError(f"'{value}' is no number of seconds, as {option} takes it")
    return float(value)


def _takes_over(options: Options) -> int:
    """Whether this version can go on from a journal of that format, with this configuration."""
    from lockd.survival.journal import READABLE

    if options.takes_over not in READABLE:
        _complain(f"this version knows no journal of format {options.takes_over}")
        return 1
    return 0 if _read_settings(options) is not None else 1


def _read_settings(options: Options) -> DaemonSettings | None:
    """The settings; None where the configuration has errors, which have been told."""
    return _result(_begin_reading(options))


def _begin_reading(options: Options) -> Reading:
    from lockd.daemon.settings import Reading

    return Reading(session=os.geteuid() != 0, file=options.config)


def _result(reading: Reading) -> DaemonSettings | None:
    from lockd.daemon.settings import SettingsError

    try:
        return reading.result()
    except SettingsError as error:
        for line in str(error).splitlines():
            _complain(line)
        return None


def _run(options: Options) -> int:
    from lockd.survival import handover

    if options.check_config:
        settings = _read_settings(options)
        for warning in settings.warnings if settings is not None else ():
            _complain(f"warning: {warning}")
        return OK if settings is not None else BAD_CONFIGURATION
    paths = Paths()
    managed = bool(os.environ.get("NOTIFY_SOCKET")) or handover.SUPERVISED in os.environ
    if managed:
        return _serve(options, paths)
    kept = handover.kept_for_supervisor(os.environ)
    if kept:
        return _supervise_again(options, paths, kept)
    # Before anything is there to be seen: a daemon in the background would tell nobody.
    settings = _read_settings(options)
    if settings is None:
        return BAD_CONFIGURATION
    return _supervise(settings, options, paths)


def _supervise(settings: DaemonSettings, options: Options, paths: Paths) -> int:
    """Run the daemon as a child, and start it again when it dies."""
    from lockd.kernel import background
    from lockd.log import LogError
    from lockd.survival.keeper import passed

    logging = _logging(options, paths)
    try:
        _configure(logging, settings, options)
    except LogError as error:
        _complain(str(error))
        return BAD_LOG
    status = _make_run_directory(paths)
    if status:
        return status
    kept = passed(os.environ)
    parent = background.detach(_program(), paths.log) if options.daemon else background.Foreground()
    try:
        pid_file = background.PidFile(options.pid_file or paths.pid_file)
    except OSError as error:
        _complain(f"Failed to acquire pid file '{error.filename}': {error.strerror}")
        return parent.failed("Unable to obtain pidfile", BAD_PID_FILE)
    status = _keep_running(paths, logging, pid_file, kept, parent.ready)
    return parent.failed(_NOT_STARTED.get(status, "The daemon did not start"), status)


def _supervise_again(options: Options, paths: Paths, kept: dict[str, int]) -> int:
    """Go on as the supervisor of the next daemon, having been one that had lost its own."""
    from lockd.kernel.background import PidFile
    from lockd.survival.keeper import PID_FILE

    logging = _logging(options, paths)
    _configure_at_all(logging, _read_settings(options), options)
    logging.part("locking.lock_daemon").warning(
        "this process is the supervisor of the next daemon: the locks outlive a crash again"
    )
    pid_file = PidFile(options.pid_file or paths.pid_file, kept.pop(PID_FILE))
    return _keep_running(paths, logging, pid_file, kept, None)


def _keep_running(
    paths: Paths,
    logging: Logging,
    pid_file: PidFile,
    kept: dict[str, int],
    ready: Callable[[], object] | None,
) -> int:
    """Be the supervisor, and clear away when that is over; returns the exit status."""
    from lockd.kernel.background import take_name
    from lockd.survival import handover, supervisor
    from lockd.survival.keeper import LISTENING, PID_FILE

    take_name("lockd")  # by which the init script knows it
    log = logging.part("locking.lock_daemon")
    # So that the lock of the PID file outlives this process too.
    kept = {**kept, PID_FILE: pid_file.fd}
    try:
        boss = supervisor.Supervisor(handover.command_line(), paths.notify, log, ready, kept)
    except OSError as error:
        _complain(f"Failed to bind socket to '{paths.notify}': {error.strerror}")
        return BAD_SOCKET
    status = boss.run()
    for service, name in LISTENING.items():
        if name not in kept:
            with suppress(FileNotFoundError, IsADirectoryError):
                os.unlink(paths.socket(service))
    pid_file.remove()
    return status


def _serve(options: Options, paths: Paths) -> int:
    """Be the daemon."""
    from lockd.daemon.daemon import Daemon
    from lockd.daemon.settings import DaemonSettings
    from lockd.kernel.background import raise_descriptor_limit, take_name
    from lockd.kernel.loop import hold_signals
    from lockd.locks.holders import Holders
    from lockd.log import LogError
    from lockd.rpc.service import bind
    from lockd.survival import handover
    from lockd.survival.journal import JournalError
    from lockd.survival.keeper import LISTENING, PID_FILE, Keeper

    hold_signals()
    os.umask(0o077)
    take_name("lockd")
    raise_descriptor_limit()
    reading = _begin_reading(options)
    logging = _logging(options, paths)
    log = logging.part("locking.lock_daemon")
    try:
        inheritance = handover.receive(os.environ)
    except JournalError as error:
        _configure_at_all(logging, None, options)
        log.error(f"the locks of the daemon before this one cannot be taken over: {error}")
        return 1
    settings = _result(reading)
    before = None
    if settings is None:
        before = inheritance.state().settings.in_force
        if before is None:
            return BAD_CONFIGURATION
        settings = DaemonSettings.from_record(before)
    if inheritance.journal is None:
        try:
            _configure(logging, settings, options)
        except LogError as error:
            _complain(str(error))
            return BAD_LOG
    else:
        _configure_at_all(logging, settings, options)
    if before is not None:
        log.error("the configuration has errors: going on with the settings as they were")
    for warning in settings.warnings:
        log.warning(warning)
    status = _make_run_directory(paths)
    if status:
        return status
    keeper = Keeper(
        os.environ.get("NOTIFY_SOCKET", ""), log, inheritance.kept(), inheritance.queues
    )
    daemon = Daemon(
        settings,
        inheritance,
        keeper,
        logging,
        Holders(os.uname().nodename, paths.descriptions()),
        timeout=options.timeout,
        interval=options.check_interval,
    )
    listening = {
        service: inheritance.fds.pop(name)
        for service, name in LISTENING.items()
        if name in inheritance.fds
    }
    unknown = sorted(inheritance.fds.keys() - {PID_FILE})
    if inheritance.journal is None and unknown:
        log.error(f"sockets that nobody asked for: {', '.join(unknown)}")
        return BAD_SOCKET
    if not listening:
        for service in LISTENING:
            path = paths.socket(service)
            try:
                listening[service] = bind(path)
            except OSError as error:
                log.error(f"Failed to bind socket to '{path}': {error.strerror}")
                return BAD_SOCKET
            keeper.keep(listening[service], LISTENING[service])
    if handover.SUPERVISED in os.environ:
        daemon.succession.watch_supervisor(int(os.environ[handover.SUPERVISED]))
    daemon.start(listening)
    # What is there now stays: it need not be looked through again for what nobody uses any more.
    gc.freeze()
    gc.set_threshold(*_GARBAGE)
    daemon.loop.run()
    return OK


def _logging(options: Options, paths: Paths) -> Logging:
    """The log as it is before it is configured: to standard error."""
    from lockd.log import Logging, default_place

    return Logging(default_place(daemon=options.daemon, file=paths.log))


def _configure(logging: Logging, settings: DaemonSettings | None, options: Options) -> None:
    """Log as the command line, the environment or else the configuration says. Raises LogError,
    whose text begins with the setting that is to blame."""
    from lockd.log import INFO, LogError, parse_level

    environment = os.environ
    name = "LIBVIRT_DEBUG"
    try:
        if settings is not None:
            logging.level = settings.log_level
        if environment.get(name):
            logging.level = parse_level(environment[name])
        if options.verbose:
            logging.level = min(logging.level, INFO)
        for setting, use in (
            ("log_filters", logging.set_filters),
            ("log_outputs", logging.set_outputs),
        ):
            name = f"LIBVIRT_{setting.upper()}"
            text = environment.get(name)
            if not text:
                name, text = setting, getattr(settings, setting, "")
            use(text)
    except LogError as error:
        raise LogError(f"{name}: {error}", error.number) from error


def _configure_at_all(logging: Logging, settings: DaemonSettings | None, options: Options) -> None:
    """Log as :func:`_configure` says, and as nearly as can be where something is wrong with it:
    for a daemon that has locks to take over."""
    from lockd.log import LogError

    try:
        _configure(logging, settings, options)
    except LogError as error:
        with suppress(LogError):
            logging.set_outputs("")
        logging.part("locking.lock_daemon").error(str(error))


def _make_run_directory(paths: Paths) -> int:
    try:
        os.makedirs(paths.run, 0o755 if paths.privileged else 0o700, exist_ok=True)
    except OSError as error:
        _complain(f"unable to create rundir {paths.run}: {error.strerror}")
        return BAD_RUN_DIRECTORY
    return OK


def _program() -> str:
    return os.path.basename(sys.argv[0]) if sys.argv[0] else "lockd"


def _complain(message: str) -> None:
    sys.stderr.write(f"{_program()}: {message}\n")


def _usage() -> str:
    paths = Paths()
    from lockd.daemon.settings import configuration_directory

    return _USAGE.format(
        program=_program(),
        configuration=configuration_directory(),
        run=paths.run,
        pid_file=paths.pid_file,
    )
