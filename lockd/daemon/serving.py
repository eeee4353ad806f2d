"""Runs the daemon: finds its sockets and state, builds its parts, and starts it."""

from __future__ import annotations

import gc
import os

from lockcfg import libvirt_release
from lockd.daemon.configuration import (
    begin_reading,
    configure,
    configure_at_all,
    new_logging,
    result_of,
)
from lockd.daemon.daemon import Daemon
from lockd.daemon.handback import Virtlockd
from lockd.daemon.options import BAD_CONFIGURATION, BAD_LOG, BAD_SOCKET, OK, complain
from lockd.daemon.paths import make_run_directory
from lockd.daemon.settings import DaemonSettings
from lockd.kernel.aside import apart
from lockd.kernel.background import PidFile, raise_descriptor_limit, take_name
from lockd.kernel.loop import hold_signals
from lockd.locks.holders import Holders
from lockd.log import LogError
from lockd.rpc.listening import bind
from lockd.survival import handover
from lockd.survival.journal import JournalError
from lockd.survival.keeper import Keeper
from lockd.survival.kept import LISTENING, PID_FILE
from lockd.survival.records import settings as settings_records
from lockd.wire.dialect import dialect_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockd.daemon.options import Options
    from lockd.daemon.paths import Paths
    from lockd.daemon.settings import Reading
    from lockd.survival.restart_file import State

#: The thresholds of garbage collection. Calls leave no garbage, so a collection of everything,
#: which takes tens of milliseconds, is rare. The others are small, and take less than two.
_GARBAGE: Final = (2_000, 10, 5_000)


def serve(
    options: Options,
    paths: Paths,
    was_virtlockd: State | None = None,
    *,
    settings: DaemonSettings | None = None,
    reading: Reading | None = None,
    kept: dict[str, int] | None = None,
) -> int:
    """Run the daemon. If this process was virtlockd, take its place. ``reading`` is the process
    that reads the settings; if there are neither ``settings`` nor such a process, it is started
    here. Without ``kept`` the daemon looks for what the service manager has kept."""
    gc.disable()  # until all objects that stay are there
    hold_signals()
    os.umask(0o077)
    take_name("lockd")
    raise_descriptor_limit()
    if settings is None and reading is None:
        reading = begin_reading(options)
    logging = new_logging(options, paths)
    log = logging.part("locking.lock_daemon")
    holders = Holders(os.uname().nodename, paths.descriptions())
    address = os.environ.get("NOTIFY_SOCKET", "")
    command = handover.command_line()
    try:
        if kept is not None:
            inheritance = handover.inheritance_of(kept)
        elif was_virtlockd is None:
            inheritance = handover.receive(os.environ)
        else:
            from lockd.daemon import virtlockd

            inheritance = virtlockd.inheritance_of(was_virtlockd, holders)
            address = virtlockd.service_manager(address)
            command = virtlockd.command_line()
            if not address:
                pid_file = PidFile(options.pid_file or paths.pid_file)
                inheritance.fds[PID_FILE] = pid_file.fd
        inheritance.state()  # while the other process reads the settings
    except JournalError as error:
        configure_at_all(logging, None, options)
        log.error(f"the locks of the previous daemon cannot be taken over: {error}")
        return 1
    except OSError as error:
        configure_at_all(logging, None, options)
        log.error(
            f"the locks of the previous daemon cannot be taken over: {error.strerror}; they are"
            " kept, and the next start tries again"
        )
        return 1
    inheritance.ending = handover.ending(os.environ)
    if reading is not None:
        settings = result_of(reading)
    before = None
    if settings is None:
        before = inheritance.state().of(settings_records.Records).in_force
        if before is None:
            return BAD_CONFIGURATION
        settings = DaemonSettings.from_record(before)
    if inheritance.journal is None:
        try:
            configure(logging, settings, options)
        except LogError as error:
            complain(str(error))
            return BAD_LOG
    else:
        configure_at_all(logging, settings, options)
    if before is not None:
        log.error("the configuration has errors: the old settings stay in force")
    for warning in settings.warnings:
        log.warning(warning)
    status = make_run_directory(paths)
    if status:
        return status
    try:
        keeper = Keeper(
            address,
            log,
            inheritance.kept(),
            inheritance.queues,
            apart,
            after_crash=not inheritance.in_place,
        )
        daemon = Daemon(
            settings,
            inheritance,
            keeper,
            logging,
            holders,
            dialect_of(libvirt_release()),
            timeout=options.timeout,
            interval=options.check_interval,
            command=command,
            virtlockd=Virtlockd(
                paths.restart_file,
                options.of_virtlockd(),
                was_here=was_virtlockd is not None,
                next=os.environ.pop(handover.HANDS_BACK, ""),
                guard=handover.guard(os.environ),
            ),
        )
        if options.adopt:
            daemon.adopt_by_itself(paths.socket("admin"))
        if options.heartbeat:
            daemon.tell_that_it_lives(options.heartbeat)
        listening = {
            service: inheritance.fds.pop(name)
            for service, name in LISTENING.items()
            if name in inheritance.fds
        }
        if inheritance.journal is None and inheritance.fds.keys() - {PID_FILE}:
            unknown = ", ".join(sorted(inheritance.fds.keys() - {PID_FILE}))
            log.error(f"unexpected sockets: {unknown}")
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
    except OSError as error:
        log.error(f"the daemon cannot be started: {error.strerror or error}")
        return 1
    # The objects that exist now stay, so the garbage collector need not look at them again.
    gc.freeze()
    gc.set_threshold(*_GARBAGE)
    gc.enable()
    daemon.loop.run()
    keeper.finish()
    return OK
