"""The settings, from the configuration that lockcfg has read and checked."""

from __future__ import annotations

import json
import os
from types import MappingProxyType

import lockcfg

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, Final, Self

    from lockcfg import Configuration, Document, Driver, Finding

#: How long the file systems of the lockspaces may take to say what they are, in seconds.
_PATIENCE: Final = 0.5

_DRIVERS: Final[tuple[Driver, ...]] = ("qemu", "libxl")


class SettingsError(Exception):
    """The configuration has errors; each of the lines of the text is one, with its place."""


class DaemonSettings:
    """What is in force: libvirt's settings of the daemon, our own, and the lockspaces of the host.

    ``lockspaces`` are directories. ``on_lockfailure`` says what to do with a guest whose lock is
    lost, and ``on_lockfailure_in`` the same by lockspace. A lock counts as lost after
    ``lockfailure_deadline`` seconds of silence; 0 means that the file system tells the time.
    ``warnings`` are sentences about a configuration that is valid but protects nothing, or has
    parts without effect. Every argument has the default of an empty configuration.
    """

    __slots__ = (
        "admin_max_clients",
        "lockfailure_deadline",
        "lockspaces",
        "log_filters",
        "log_level",
        "log_outputs",
        "max_clients",
        "on_lockfailure",
        "on_lockfailure_in",
        "warnings",
    )

    def __init__(
        self,
        *,
        max_clients: int = 1024,
        admin_max_clients: int = 5000,
        log_level: int = 3,
        log_filters: str = "",
        log_outputs: str = "",
        lockspaces: Sequence[str] = (),
        on_lockfailure: str = "report",
        on_lockfailure_in: Mapping[str, str] = MappingProxyType({}),
        lockfailure_deadline: int = 0,
        warnings: Sequence[str] = (),
    ) -> None:
        self.max_clients: Final = max_clients
        self.admin_max_clients: Final = admin_max_clients
        self.log_level: Final = log_level
        self.log_filters: Final = log_filters
        self.log_outputs: Final = log_outputs
        self.lockspaces: Final = lockspaces
        self.on_lockfailure: Final = on_lockfailure
        self.on_lockfailure_in: Final = dict(on_lockfailure_in)
        self.lockfailure_deadline: Final = lockfailure_deadline
        self.warnings: Final = warnings

    def record(self) -> dict[str, Any]:
        """The settings as JSON can have them; the arguments of the constructor."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """The settings that :meth:`record` tells of. Another version may have written the record:
        unknown fields are ignored, and missing ones have their defaults."""
        return cls(**{name: record[name] for name in cls.__slots__ if name in record})


class Reading:
    """A process that reads the settings. Reading takes more memory than the whole daemon; the
    process gives it back when it ends, and the daemon can do something else meanwhile.

    The arguments are those of :func:`read_settings`.
    """

    def __init__(self, *, session: bool, file: str | None = None) -> None:
        self._found: dict[str, Any] = {}
        self._pipe, write = os.pipe2(os.O_CLOEXEC)
        self._pid = os.fork()
        if not self._pid:
            _read_and_exit(write, session, file)
        os.close(write)

    def result(self) -> DaemonSettings:
        """The settings, as often as they are asked for. Raises :class:`SettingsError`."""
        found = self._found = self._found or self._read()
        if "errors" in found:
            raise SettingsError(found["errors"])
        return DaemonSettings.from_record(found)

    def _read(self) -> dict[str, Any]:
        """What the process has written by its end."""
        with open(self._pipe, encoding="utf-8", errors="surrogateescape") as pipe:
            text = pipe.read()
        os.waitpid(self._pid, 0)
        if not text:
            return {"errors": "the configuration could not be read: its reader has died"}
        found: dict[str, Any] = json.loads(text)
        return found


def _read_and_exit(pipe: int, session: bool, file: str | None) -> None:
    """In the child: write the settings, or what is wrong with them, into the pipe."""
    try:
        found = read_settings(session=session, file=file).record()
    except SettingsError as error:
        found = {"errors": str(error)}
    with open(pipe, "w", encoding="ascii") as writer:
        json.dump(found, writer)
    os._exit(0)


def read_settings(*, session: bool, file: str | None = None) -> DaemonSettings:
    """The settings of this host, or of this user's ``session``. ``file`` replaces libvirt's file of
    the daemon's own settings. Raises :class:`SettingsError`."""
    kind = lockcfg.KINDS["virtlockd.conf"]
    try:
        hosts = [lockcfg.Host(driver=driver, session=session) for driver in _DRIVERS]
        configurations = {host: lockcfg.load_host(host) for host in hosts}
        path = hosts[0].path(kind)
        own = (
            lockcfg.load_file(file, kind)
            if file is not None
            else configurations[hosts[0]].documents["daemon"]
        )
        engine = _engine_settings(hosts[0])
    except lockcfg.LockcfgError as error:
        raise SettingsError(f"{error.message}{_help(error.help)}") from error
    documents = [own, engine] + [
        document
        for configuration in configurations.values()
        for document in configuration.documents.values()
        if document.path != path
    ]
    findings = [(each.kind, finding) for each in documents for finding in lockcfg.check(each)]
    errors = [_line(finding) for _, finding in findings if finding.severity == "error"]
    if errors:
        raise SettingsError("\n".join(errors))
    # The drivers' files are about much more than locks.
    warnings = [_line(finding) for kind, finding in findings if kind.role != "driver"]
    return DaemonSettings(
        max_clients=_integer(own, "max_clients"),
        admin_max_clients=_integer(own, "admin_max_clients"),
        log_level=_integer(own, "log_level"),
        log_filters=_string(own, "log_filters"),
        log_outputs=_string(own, "log_outputs"),
        lockspaces=sorted(
            {
                directory
                for configuration in configurations.values()
                for key in lockcfg.LOCKSPACE_KEYS
                # libvirt would ask for another lockspace, below its own working directory, and not
                # find it.
                if (directory := configuration.lockspace(key) or "").startswith("/")
            }
        ),
        on_lockfailure=_string(engine, "on_lockfailure"),
        on_lockfailure_in=_by_lockspace(engine),
        lockfailure_deadline=_integer(engine, "lockfailure_deadline"),
        warnings=list(dict.fromkeys([*warnings, *_warnings(configurations)])),
    )


def _engine_settings(host: lockcfg.Host) -> Document:
    """The file of lockd's own settings; empty if it does not exist. Raises ReadError,
    ConfSyntaxError."""
    path = host.path(lockcfg.LOCKD)
    if not os.path.lexists(path):
        return lockcfg.parse(b"", lockcfg.LOCKD, path)
    return lockcfg.load_file(path, lockcfg.LOCKD)


def _by_lockspace(document: Document) -> dict[str, str]:
    """What to do with guests whose lock is lost, by the directory of the lockspace; the empty one
    is for disks that are locked directly."""
    value = _value(document, "on_lockfailure_in")
    found: dict[str, str] = {}
    for each in value if isinstance(value, tuple) else ():
        directory, _, what = str(each).partition("=")
        found[directory.rstrip("/")] = what
    return found


def _warnings(configurations: Mapping[lockcfg.Host, Configuration]) -> Iterator[str]:
    """Warnings about settings that are valid but protect nothing: of the drivers whose locking is
    configured, or of QEMU's driver if none is."""
    told = [
        host
        for host, configuration in configurations.items()
        if configuration.effective("lock_manager").place is not None
    ]
    for host in told or [next(iter(configurations))]:
        configuration = configurations[host]
        storages = _storages(host, configuration)
        if storages is None:
            yield "A lockspace is on a file system that does not answer."
            continue
        protection = lockcfg.protection_of(configuration, storages)
        manager = configuration.effective("lock_manager")
        if configuration.lock_manager not in ("lockd", "nop"):
            yield (
                f"No disk is locked on this host: lock_manager is {manager.value}"
                f" ({manager.place})."
            )
        elif protection.level in ("refused", "none", "this-host", "unknown"):
            yield protection.summary
            for reach in protection.reaches:
                if reach.level != "between-hosts":
                    yield reach.text


def _storages(
    host: lockcfg.Host, configuration: Configuration
) -> Mapping[str, lockcfg.Storage] | None:
    """The file systems of the lockspaces; None if these do not answer in time, because the start
    must not wait for a server."""
    import threading

    found: list[Mapping[str, lockcfg.Storage]] = []
    thread = threading.Thread(
        target=lambda: found.append(lockcfg.storages_of(host, configuration)), daemon=True
    )
    thread.start()
    thread.join(_PATIENCE)
    return found[0] if found else None


def _value(document: Document, key: str) -> object:
    """What libvirt uses for a setting: the first of that name, or the default."""
    entry = document.get(key)
    return entry.value if entry is not None else lockcfg.settings_of(document.kind)[key].default


def _integer(document: Document, key: str) -> int:
    value = _value(document, key)
    return value if isinstance(value, int) else 0


def _string(document: Document, key: str) -> str:
    value = _value(document, key)
    return value if isinstance(value, str) else ""


def _line(finding: Finding) -> str:
    where = finding.place if finding.place is not None else finding.path
    return f"{where}: {finding.message} [{finding.rule}]{_help(finding.help)}"


def _help(help: str) -> str:
    return f" ({help})" if help else ""


def configuration_directory() -> str:
    """Where this user's libvirt has its configuration."""
    return lockcfg.Host(session=os.geteuid() != 0).directory
