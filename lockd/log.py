"""The log, with the settings, levels and lines of libvirt's daemons.

``log_level`` is 1 (debug) to 4 (error); ``log_filters`` gives parts of the daemon a level of their
own, as ``LEVEL:PART`` with ``*`` and ``?``; ``log_outputs`` sends what is at least of a level
somewhere, as ``LEVEL:stderr``, ``LEVEL:file:PATH``, ``LEVEL:syslog:IDENT`` or ``LEVEL:journald``.
The parts have the names they have in libvirt: ``locking.lock_daemon`` and so on.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final, Protocol

    class Output(Protocol):
        """Where lines go. ``level`` is the least that goes there, ``text`` how it is set."""

        @property
        def level(self) -> int: ...
        @property
        def text(self) -> str: ...

        def write(self, level: int, part: str, message: str) -> None:
            """Write one message. Raises OSError."""

        def close(self) -> None:
            """Nothing more comes."""


DEBUG: Final = 1
INFO: Final = 2
WARNING: Final = 3
ERROR: Final = 4

_NAMES: Final = ("", "debug", "info", "warning", "error")

#: The priorities of syslog(3) and of the journal.
_PRIORITIES: Final = (7, 7, 6, 4, 3)

JOURNAL_SOCKET: Final = "/run/systemd/journal/socket"


class LogError(Exception):
    """A setting of the log that makes no sense, or cannot be had; the text says why."""


class Log:
    """Takes the messages of one part of the daemon."""

    __slots__ = ("_logging", "_part", "_version", "threshold")

    def __init__(self, logging: Logging, part: str) -> None:
        self._logging: Final = logging
        self._part: Final = part
        #: The least level that goes anywhere.
        self.threshold = DEBUG

    def debug(self, message: str) -> None:
        """What happens, step by step."""
        if self.threshold <= DEBUG:
            self._logging.write(DEBUG, self._part, message)

    def info(self, message: str) -> None:
        """What somebody may want to know."""
        if self.threshold <= INFO:
            self._logging.write(INFO, self._part, message)

    def warning(self, message: str) -> None:
        """What works and should not be so."""
        if self.threshold <= WARNING:
            self._logging.write(WARNING, self._part, message)

    def error(self, message: str) -> None:
        """What does not work."""
        self._logging.write(ERROR, self._part, message)


class Logging:
    """All of the log: its level, its filters, its outputs, and the parts that write to it."""

    def __init__(self) -> None:
        self._level = WARNING
        self._filters: list[tuple[int, str]] = []
        self._outputs: Sequence[Output] = (_Stderr(DEBUG),)
        self._logs: Final[dict[str, Log]] = {}

    def part(self, name: str) -> Log:
        """The log of a part of the daemon."""
        log = self._logs.get(name)
        if log is None:
            log = self._logs[name] = Log(self, name)
            log.threshold = self._threshold(name)
        return log

    @property
    def level(self) -> int:
        """The level of the parts that no filter is about."""
        return self._level

    @level.setter
    def level(self, level: int) -> None:
        self._level = level
        self._apply()

    @property
    def filters(self) -> str:
        """The filters, as they are set."""
        return " ".join(f"{level}:{part}" for level, part in self._filters)

    def set_filters(self, text: str) -> None:
        """Use other filters. Raises :class:`LogError`, and then nothing has changed."""
        self._filters = [parse_filter(each) for each in text.split()]
        self._apply()

    @property
    def outputs(self) -> str:
        """The outputs, as they are set."""
        return " ".join(output.text for output in self._outputs)

    def set_outputs(self, text: str) -> None:
        """Use other outputs. Raises :class:`LogError`, and then nothing has changed."""
        outputs: list[Output] = []
        try:
            for each in text.split():
                outputs.append(parse_output(each))
        except LogError:
            for output in outputs:
                output.close()
            raise
        if outputs:
            for output in self._outputs:
                output.close()
            self._outputs = outputs

    def write(self, level: int, part: str, message: str) -> None:
        """Write a message to every output that takes its level."""
        for output in self._outputs:
            if level >= output.level:
                try:
                    output.write(level, part, message)
                except OSError:
                    pass  # a full disk or a journal that is away: there is nobody to tell

    def _threshold(self, part: str) -> int:
        for level, pattern in self._filters:
            from fnmatch import fnmatchcase

            if fnmatchcase(part, f"*{pattern.strip('*')}*"):
                return level
        return self._level

    def _apply(self) -> None:
        for name, log in self._logs.items():
            log.threshold = self._threshold(name)


def parse_level(text: str) -> int:
    """A level. Raises :class:`LogError`."""
    if text not in ("1", "2", "3", "4"):
        raise LogError(f"'{text}' is no level of the log: 1 debug, 2 info, 3 warning, 4 error")
    return int(text)


def parse_filter(text: str) -> tuple[int, str]:
    """The level and the part in ``LEVEL:PART``. Raises :class:`LogError`."""
    level, colon, part = text.partition(":")
    if not colon or not part:
        raise LogError(f"'{text}' is no filter of the log: it is LEVEL:PART")
    return parse_level(level), part


def parse_output(text: str) -> Output:
    """What an output is set as, opened. Raises :class:`LogError`."""
    level, _, rest = text.partition(":")
    kind, _, data = rest.partition(":")
    least = parse_level(level)
    try:
        if kind == "stderr" and not data:
            return _Stderr(least)
        if kind == "journald" and not data:
            return _Journal(least)
        if kind == "file" and data.startswith("/"):
            return _File(least, data)
        if kind == "syslog" and data:
            return _Syslog(least, data)
    except OSError as error:
        raise LogError(f"the output '{text}' of the log cannot be had: {error.strerror}") from error
    raise LogError(
        f"'{text}' is no output of the log:"
        " LEVEL:stderr, LEVEL:file:/PATH, LEVEL:syslog:IDENT or LEVEL:journald"
    )


def default_output(*, daemon: bool, file: str) -> str:
    """Where libvirt's daemons log to where nothing is set: the journal where there is one, unless
    somebody looks at a terminal; a daemon in the background to ``file``, else standard error."""
    journal = os.access(JOURNAL_SOCKET, os.W_OK)
    if daemon:
        return "1:journald" if journal else f"1:file:{file}"
    return "1:journald" if journal and not os.isatty(0) else "1:stderr"


def _line(level: int, part: str, message: str) -> bytes:
    now = time.time()
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now))
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in message)
    return (
        f"{stamp}.{int(now * 1000) % 1000:03}+0000: {os.getpid()}: {_NAMES[level]} :"
        f" {part} : {text}\n"
    ).encode("utf-8", "backslashreplace")


class _Stderr:
    def __init__(self, level: int) -> None:
        self.level: Final = level
        self.text: Final = f"{level}:stderr"

    def write(self, level: int, part: str, message: str) -> None:
        os.write(2, _line(level, part, message))

    def close(self) -> None:
        """It is not ours to close."""


class _File:
    def __init__(self, level: int, path: str) -> None:
        self.level: Final = level
        self.text: Final = f"{level}:file:{path}"
        self._fd: Final = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )

    def write(self, level: int, part: str, message: str) -> None:
        os.write(self._fd, _line(level, part, message))

    def close(self) -> None:
        os.close(self._fd)


class _Syslog:
    def __init__(self, level: int, ident: str) -> None:
        import syslog

        self.level: Final = level
        self.text: Final = f"{level}:syslog:{ident}"
        self._write: Final = syslog.syslog
        syslog.openlog(ident, syslog.LOG_CONS | syslog.LOG_PID, syslog.LOG_DAEMON)

    def write(self, level: int, part: str, message: str) -> None:
        self._write(_PRIORITIES[level], f"{part} : {message}".replace("\0", "\\0"))

    def close(self) -> None:
        """syslog has one connection, and the next output may have it already."""


class _Journal:
    """The journal's own protocol: a datagram of ``NAME=value`` lines (systemd's documentation,
    "Native Journal Protocol"). A value with a line feed goes with its length."""

    def __init__(self, level: int) -> None:
        import socket

        self.level: Final = level
        self.text: Final = f"{level}:journald"
        self._socket: Final = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.connect(JOURNAL_SOCKET)
        except OSError:
            self._socket.close()
            raise

    def write(self, level: int, part: str, message: str) -> None:
        text = message.encode("utf-8", "backslashreplace")
        self._socket.send(
            b"MESSAGE\n%b%b\nPRIORITY=%d\nLIBVIRT_SOURCE=%b\nSYSLOG_IDENTIFIER=%b\n"
            % (
                len(text).to_bytes(8, "little"),
                text,
                _PRIORITIES[level],
                part.encode("ascii"),
                os.path.basename(sys.argv[0]).encode("utf-8", "replace"),
            )
        )

    def close(self) -> None:
        self._socket.close()
