"""Reads the settings from the configuration, and sets up the log."""

from __future__ import annotations

import os
from contextlib import suppress

from lockd.daemon.options import complain
from lockd.daemon.settings import Reading, SettingsError
from lockd.log import INFO, LogError, Logging, default_place, parse_level

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.daemon.options import Options
    from lockd.daemon.paths import Paths
    from lockd.daemon.settings import DaemonSettings


def read_settings(options: Options) -> DaemonSettings | None:
    """Read the settings. Returns None if the configuration has errors; they are logged."""
    return result_of(begin_reading(options))


def begin_reading(options: Options) -> Reading:
    """Begin to read the settings in another process."""
    return Reading(session=os.geteuid() != 0, file=options.config)


def result_of(reading: Reading) -> DaemonSettings | None:
    """The settings that the process read. None if the configuration has errors; they are logged."""
    try:
        return reading.result()
    except SettingsError as error:
        for line in str(error).splitlines():
            complain(line)
        return None


def new_logging(options: Options, paths: Paths) -> Logging:
    """The log before it is configured: it goes to standard error."""
    return Logging(default_place(daemon=options.daemon, file=paths.log))


def configure(logging: Logging, settings: DaemonSettings | None, options: Options) -> None:
    """Log as the command line says, or else the environment, or else the configuration. Raises
    LogError; its text begins with the setting that is wrong."""
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


def configure_at_all(logging: Logging, settings: DaemonSettings | None, options: Options) -> None:
    """Log as :func:`configure` does. Ignore a setting that is wrong: this daemon has locks to take
    over and must start."""
    try:
        configure(logging, settings, options)
    except LogError as error:
        with suppress(LogError):
            logging.set_outputs("")
        logging.part("locking.lock_daemon").error(str(error))
