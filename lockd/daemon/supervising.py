"""Without a service manager: the daemon as the child of a supervisor of its own."""

from __future__ import annotations

import gc
import os
from contextlib import suppress

from lockd.daemon.configuration import configure, configure_at_all, new_logging, result_of
from lockd.daemon.options import BAD_LOG, BAD_PID_FILE, BAD_SOCKET, complain, program
from lockd.daemon.paths import make_run_directory
from lockd.kernel import background
from lockd.kernel.background import PidFile, take_name
from lockd.log import LogError
from lockd.survival import handover, supervisor
from lockd.survival.kept import LISTENING, PID_FILE
from lockd.survival.passed import passed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from lockd.daemon.options import Options
    from lockd.daemon.paths import Paths
    from lockd.daemon.settings import DaemonSettings, Reading
    from lockd.log import Logging

_NOT_STARTED: Final = {BAD_SOCKET: "Unable to initialize network sockets"}


def supervise(
    settings: DaemonSettings, options: Options, paths: Paths, daemon: Callable[..., int]
) -> int:
    """Run the daemon as a child, and start it again when it dies; ``daemon`` is
    :func:`lockd.daemon.serving.serve`."""
    logging = new_logging(options, paths)
    try:
        configure(logging, settings, options)
    except LogError as error:
        complain(str(error))
        return BAD_LOG
    status = make_run_directory(paths)
    if status:
        return status
    kept = passed(os.environ)
    parent = background.detach(program(), paths.log) if options.daemon else background.Foreground()
    try:
        pid_file = background.PidFile(options.pid_file or paths.pid_file)
    except OSError as error:
        complain(f"Failed to acquire pid file '{error.filename}': {error.strerror}")
        return parent.failed("Unable to obtain pidfile", BAD_PID_FILE)

    def run(kept: dict[str, int], is_first: bool) -> int:
        # Later the configuration may be another one.
        return daemon(options, paths, settings=settings if is_first else None, kept=kept)

    gc.freeze()  # so that the child does not copy what is looked through
    status = _keep_running(paths, logging, pid_file, kept, parent.ready, run)
    return parent.failed(_NOT_STARTED.get(status, "The daemon did not start"), status)


def supervise_again(options: Options, paths: Paths, kept: dict[str, int], reading: Reading) -> int:
    """This process was a daemon that lost its supervisor: continue as the supervisor of the next
    daemon. ``reading`` is the process that reads the settings."""
    logging = new_logging(options, paths)
    configure_at_all(logging, result_of(reading), options)
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
    daemon: Callable[[dict[str, int], bool], int] | None = None,
) -> int:
    """Run the supervisor, and clean up after it. Returns the exit status."""
    take_name("lockd")  # the name the name by which the init script knows it
    log = logging.part("locking.lock_daemon")
    # So the lock of the PID file outlives this process too.
    kept = {**kept, PID_FILE: pid_file.fd}
    try:
        command = handover.command_line()
        boss = supervisor.Supervisor(command, paths.notify, log, ready, kept, daemon)
        gc.enable()
    except OSError as error:
        complain(f"Failed to bind socket to '{paths.notify}': {error.strerror}")
        return BAD_SOCKET
    status = boss.run()
    for service, name in LISTENING.items():
        if name not in kept:
            with suppress(FileNotFoundError, IsADirectoryError):
                os.unlink(paths.socket(service))
    pid_file.remove()
    return status
