"""The log, with the settings, levels and lines of libvirt's daemons.

``log_level`` is 1 (debug) to 4 (error); ``log_filters`` gives parts of the daemon a level of their
own, as ``LEVEL:PART`` with ``*`` and ``?``, the first that fits; ``log_outputs`` sends messages of
at least a level to a place, as ``LEVEL:stderr``, ``LEVEL:file:PATH``, ``LEVEL:syslog:IDENT`` or
``LEVEL:journald``. The parts have the names they have in libvirt: ``locking.lock_daemon`` and so
on; a line has the part where libvirt's have a function.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import time

from lockd import __version__
from lockd.escape import escaped
from lockd.ownfile import open_own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Final, Protocol

    from lockd.events import Event

    #: Receives events.
    Listener = Callable[[Event], object]

    class Output(Protocol):
        """Where lines go. ``level`` is the least that goes there, ``place`` its name."""

        @property
        def level(self) -> int:
            """The least level that goes there."""

        @property
        def place(self) -> str:
            """Its name."""

        def write(self, level: int, part: str, message: str, event: Event | None) -> None:
            """Write one message, with its ``event`` if it has one. Raises OSError."""

        def close(self) -> None:
            """Close the output."""


DEBUG: Final = 1
INFO: Final = 2
WARNING: Final = 3
ERROR: Final = 4

_NAMES: Final = ("", "debug", "info", "warning", "error")

#: A level in a filter or an output. libvirt's parser ignores blanks and a sign before it.
_LEVEL: Final = re.compile(r"[ \t\n\v\f\r]*\+?0*([1-4])", re.ASCII)

#: The first part of an output.
_OWN: Final = "util.log"

#: The longest message, in characters; of a longer one the beginning and the end are written.
_LONGEST: Final = 4096

#: The longest field of the journal besides, in characters.
_LONGEST_FIELD: Final = 1024

#: The priorities of syslog(3) and of the journal.
_PRIORITIES: Final = (7, 7, 6, 4, 3)

JOURNAL_SOCKET: Final = "/run/systemd/journal/socket"


class LogError(Exception):
    """A setting of the log that is invalid or cannot be used; the text says why. ``number`` is the
    system's error number if the system refuses it, else 0."""

    def __init__(self, text: str, number: int = 0) -> None:
        super().__init__(text)
        self.number: Final = number


class Log:
    """Takes the messages of one part of the daemon."""

    __slots__ = ("_logging", "_part", "heard", "threshold")

    def __init__(self, logging: Logging, part: str) -> None:
        self._logging: Final = logging
        self._part: Final = part
        #: The least level that any output takes, and the least whose events any listener hears.
        self.threshold = DEBUG
        self.heard = DEBUG

    def debug(self, message: str) -> None:
        """Log a step."""
        if self.threshold <= DEBUG:
            self._logging.write(DEBUG, self._part, message)

    def info(self, message: str) -> None:
        """Log information."""
        if self.threshold <= INFO:
            self._logging.write(INFO, self._part, message)

    def warning(self, message: str) -> None:
        """Log a warning: something works but is not as it should be."""
        if self.threshold <= WARNING:
            self._logging.write(WARNING, self._part, message)

    def error(self, message: str, event: Event | None = None) -> None:
        """Log an error, with the ``event`` that tells listeners of it."""
        self._logging.write(ERROR, self._part, message, event)

    def event(self, event: Event) -> None:
        """Log an event at the level of its kind, and tell all listeners."""
        level = event.kind.level
        if self.threshold <= level:
            self._logging.write(level, self._part, event.message, event)
        self._logging.tell(event)

    def tell(self, event: Event) -> None:
        """Tell only the listeners of an event."""
        self._logging.tell(event)


class Logging:
    """All of the log: its level, its filters, its outputs, and the parts that write to it.

    ``default`` is the output if none is set, as :func:`default_place` gives it.
    """

    def __init__(self, default: str = "stderr") -> None:
        self._default: Final = default
        self._level = WARNING
        self._filters: Sequence[tuple[int, str]] = ()
        self._outputs: Sequence[Output] = (_Stderr(DEBUG),)
        self._begun: Final[set[Output]] = set()
        self._logs: Final[dict[str, Log]] = {}
        #: The listeners, and from which level on they hear of events.
        self._listeners: Final[dict[Listener, int]] = {}

    def part(self, name: str) -> Log:
        """The log of a part of the daemon."""
        log = self._logs.get(name)
        if log is None:
            log = self._logs[name] = Log(self, name)
            self._apply()
        return log

    def listen(self, listener: Listener, level: int) -> None:
        """Tell ``listener`` of events of at least a level, whatever is logged. Calling it again
        changes the level."""
        self._listeners[listener] = level
        self._apply()

    def tell(self, event: Event) -> None:
        """Tell the listeners of an event."""
        for listener, level in self._listeners.items():
            if event.kind.level >= level:
                listener(event)

    @property
    def level(self) -> int:
        """The level of parts without a filter."""
        return self._level

    @level.setter
    def level(self, level: int) -> None:
        self._level = level
        self._apply()

    @property
    def filters(self) -> Sequence[tuple[int, str]]:
        """The filters: a level and a part."""
        return self._filters

    def set_filters(self, text: str) -> None:
        """Change the filters. If it raises :class:`LogError`, nothing has changed."""
        self._filters = [parse_filter(each) for each in text.split(" ") if each]
        self._apply()

    @property
    def outputs(self) -> Sequence[str]:
        """The outputs, each as it is set."""
        return [f"{output.level}:{output.place}" for output in self._outputs]

    def set_outputs(self, text: str) -> None:
        """Change the outputs. If ``text`` names none, use the default one; of two to one place the
        last counts. If it raises :class:`LogError`, nothing has changed."""
        outputs: dict[str, Output] = {}
        try:
            for each in text.split(" ") if text.strip(" ") else [f"{self._level}:{self._default}"]:
                if each:
                    output = parse_output(each)
                    replaced = outputs.pop(output.place, None)
                    outputs[output.place] = output
                    if replaced is not None:
                        replaced.close()
        except LogError:
            for output in outputs.values():
                output.close()
            raise
        for output in self._outputs:
            output.close()
        self._outputs = [*outputs.values()]
        self._begun.clear()

    def write(self, level: int, part: str, message: str, event: Event | None = None) -> None:
        """Write a message to every output that takes its level: as one line of text, whatever the
        names in it are, and with a limited length."""
        message = escaped(message, _LONGEST)
        for output in self._outputs:
            if level >= output.level:
                try:
                    if output not in self._begun:
                        self._begun.add(output)
                        output.write(INFO, _OWN, f"lockd version: {__version__}", None)
                        output.write(INFO, _OWN, f"hostname: {os.uname().nodename}", None)
                    output.write(level, part, message, event)
                except OSError:
                    pass  # a full disk or a journal that is away: there is no place to report it

    def _threshold(self, part: str) -> int:
        for level, pattern in self._filters:
            from fnmatch import fnmatchcase

            # GLib's patterns, which libvirt has, know no sets of characters.
            if fnmatchcase(part, f"*{pattern.replace('[', '[[]')}*"):
                return level
        return self._level

    def _apply(self) -> None:
        heard = min(self._listeners.values(), default=ERROR + 1)
        for name, log in self._logs.items():
            log.threshold = self._threshold(name)
            log.heard = min(log.threshold, heard)


def parse_level(text: str) -> int:
    """A level by its number or its name. Raises :class:`LogError`."""
    if text in ("1", "2", "3", "4"):
        return int(text)
    if text not in _NAMES[1:]:
        raise LogError(f"Failed to set logging priority, argument '{text}' is invalid")
    return _NAMES.index(text)


def parse_filter(text: str) -> tuple[int, str]:
    """The level and the part in ``LEVEL:PART``; text behind another colon is ignored, and so is a
    sign before the part. Raises :class:`LogError`."""
    level, *rest = text.split(":")
    if not rest:
        raise LogError(f"Malformed format for filter '{text}'")
    number = _LEVEL.fullmatch(level)
    if number is None:
        raise LogError(f"Invalid priority '{level}' for filter '{text}'")
    part = rest[0].removeprefix("+")
    if not part:
        raise LogError(f"Invalid match string '{rest[0]}'")
    return int(number[1]), part


def parse_output(text: str) -> Output:
    """Open an output by its setting. Raises :class:`LogError`."""
    level, *rest = text.split(":")
    if not rest:
        raise LogError(f"Malformed format for log output '{text}'")
    number = _LEVEL.fullmatch(level)
    if number is None:
        raise LogError(f"Invalid log priority '{level}' for log output '{text}'")
    kind, *data = rest
    if kind not in _KINDS:
        raise LogError(f"Invalid log destination '{kind}' for log output '{text}'")
    if len(data) != (kind in _NAMED):
        raise LogError(
            f"Log output '{text}' does not meet the format requirements for destination type"
            f" '{kind}'"
        )
    return _KINDS[kind](int(number[1]), *data)


def default_place(*, daemon: bool, file: str) -> str:
    """Where libvirt's daemons log by default: to the journal if there is one and standard error is
    not a terminal; in the background to ``file``; else to standard error."""
    if os.access(JOURNAL_SOCKET, os.W_OK) and (daemon or not os.isatty(0)):
        return "journald"
    return f"file:{file}" if daemon else "stderr"


def _text(level: int, part: str, message: str) -> str:
    return f"{os.getpid()}: {_NAMES[level]} : {part} : {message}\n"


def _line(level: int, part: str, message: str) -> bytes:
    now = time.time()
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now))
    text = f"{stamp}.{int(now * 1000) % 1000:03}+0000: {_text(level, part, message)}"
    return text.encode("utf-8", "backslashreplace")


class _Stderr:
    place: Final = "stderr"

    def __init__(self, level: int) -> None:
        self.level: Final = level

    def write(self, level: int, part: str, message: str, _: Event | None) -> None:
        os.write(2, _line(level, part, message))

    def close(self) -> None:
        """Standard error stays open."""


class _File:
    def __init__(self, level: int, path: str) -> None:
        path = os.path.abspath(path)
        self.level: Final = level
        self.place: Final = f"file:{path}"
        try:
            self._fd: Final = open_own(path, os.O_WRONLY | os.O_APPEND, 0o600)
        except (OSError, ValueError) as error:
            number = error.errno or 0 if isinstance(error, OSError) else errno.ENOENT
            raise LogError(f"failed to open {path}: {os.strerror(number)}", number) from error

    def write(self, level: int, part: str, message: str, _: Event | None) -> None:
        os.write(self._fd, _line(level, part, message))

    def close(self) -> None:
        os.close(self._fd)


class _Syslog:
    def __init__(self, level: int, ident: str) -> None:
        self.level: Final = level
        self.place: Final = f"syslog:{ident}"
        # syslog(3) gets text, and the name may be none.
        self._ident: Final = ident.encode("utf-8", "backslashreplace").decode()

    def write(self, level: int, part: str, message: str, _: Event | None) -> None:
        import syslog

        # The process has one connection, and another output may have been its last user.
        syslog.openlog(self._ident, 0, syslog.LOG_DAEMON)
        syslog.syslog(_PRIORITIES[level], _text(level, part, message))

    def close(self) -> None:
        """Keep the connection, which others share."""


class _Journal:
    """The journal's own protocol: a datagram of ``NAME=value`` lines (systemd's documentation,
    "Native Journal Protocol"). A value with a line feed goes with its length."""

    place: Final = "journald"

    def __init__(self, level: int) -> None:
        import socket

        self.level: Final = level
        self._socket: Final = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def write(self, level: int, part: str, message: str, event: Event | None) -> None:
        datagram = _field(
            "MESSAGE", message
        ) + b"PRIORITY=%d\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=%b\nLIBVIRT_SOURCE=%b\n" % (
            _PRIORITIES[level],
            os.path.basename(sys.argv[0]).encode("utf-8", "replace"),
            part.encode("ascii"),
        )
        if event is not None:
            datagram += b"".join(_field(*each) for each in journal_fields(event).items())
        # Not connected: the journal may come, go and come back while we run.
        self._socket.sendto(datagram, JOURNAL_SOCKET)

    def close(self) -> None:
        self._socket.close()


def journal_fields(event: Event) -> Mapping[str, str]:
    """The fields by which the journal can be searched: the kind of an event, and its subject."""
    about = {
        f"LOCKD_{name.upper()}": escaped(str(value), _LONGEST_FIELD)
        for name, value in event.fields.items()
    }
    return {
        "MESSAGE_ID": event.kind.id,
        "LOCKD_EVENT": event.kind.name,
        "LOCKD_HOST": os.uname().nodename,
        **about,
    }


def _field(name: str, value: str) -> bytes:
    """A field of the journal, with any value."""
    text = value.encode("utf-8", "backslashreplace")
    return b"%b\n%b%b\n" % (name.encode("ascii"), len(text).to_bytes(8, "little"), text)


#: The kinds of outputs, and which of them take a value behind another colon.
_KINDS: Final[dict[str, Callable[..., Output]]] = {
    "stderr": _Stderr,
    "file": _File,
    "syslog": _Syslog,
    "journald": _Journal,
}
_NAMED: Final = ("file", "syslog")
