"""Renders a template with a command that the user names.

Only the command line can name the command, and the settings of a repository cannot. So a person who
checks a repository runs nothing from it.
"""

from __future__ import annotations

import os
import selectors
import shlex
import signal
import subprocess
import time

from lockcfg.conf.load import MAX_SIZE, read_bytes
from lockcfg.errors import ReadError, UsageError
from lockcfg.printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, Final

#: How long the command may take for one template, in seconds.
PATIENCE: Final = 60

#: How much the command may print to each of its two outputs, in bytes: as much as libvirt reads.
MOST: Final = MAX_SIZE

#: How much of the end of what a command says of its failure is looked at, in bytes.
_LONGEST: Final = 4096

#: How often to look whether a command has ended that keeps its outputs open, and one that has
#: closed them, in seconds.
_PAUSE: Final = 0.05
_SHORT_PAUSE: Final = 0.001

#: What the path of the template replaces.
_PATH: Final = "{}"


def renderer(command: str) -> Callable[[str], bytes]:
    """A function that renders the template at a path with ``command``; no shell is involved.

    The path replaces each ``{}``; if there is none, the path comes last. The output of the command
    is the text. What the command has started is ended with it. Raises UsageError if ``command``
    cannot be split into words. The function raises ReadError if the template is not a regular file
    or larger than libvirt reads, or if the command cannot be run, fails, takes longer than
    :data:`PATIENCE`, or prints more than :data:`MOST`. It ends the command at these bounds.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--render: {command}: {error}", help="close the quotes") from error
    if not words:
        raise UsageError("--render: the command is empty", help="name the program that renders")
    if not any(_PATH in word for word in words):
        words.append(_PATH)

    def render(path: str) -> bytes:
        # A repository may have a link to a device or a pipe there, on which a command never ends.
        read_bytes(path)
        try:
            process = subprocess.Popen(
                [word.replace(_PATH, path) for word in words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise _error(path, f"'{words[0]}' cannot be run: {error.strerror}") from error
        with process:
            try:
                text, messages = _printed(process)
            except _BoundError as error:
                raise _error(path, f"'{words[0]}' {error}") from error
            finally:
                # Also what it has left in the background.
                _end(process)
        if process.returncode:
            said = messages.decode(errors="replace").strip().rpartition("\n")[2]
            why = f": {printable(said)}" if said else ""
            raise _error(path, f"'{words[0]}' ended with status {process.returncode}{why}")
        return text

    return render


class _BoundError(Exception):
    """A command has passed a bound; the message says which."""


def _printed(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """The text that a command prints until it ends, and the end of its messages. No more than that
    is kept of either, and nothing on a disk. Raises _BoundError as soon as a bound is passed."""
    deadline = time.monotonic() + PATIENCE
    output, errors = _pipe(process.stdout), _pipe(process.stderr)
    kept = {output: bytearray(), errors: bytearray()}
    counts = {output: 0, errors: 0}
    with selectors.DefaultSelector() as selector:
        for pipe in kept:
            selector.register(pipe, selectors.EVENT_READ)
        while True:
            # In this order: what it has printed before it ended can be read, and no more comes.
            if ended := _has_ended(process):
                _end(process)
            pause = _PAUSE if selector.get_map() else _SHORT_PAUSE
            ready = selector.select(0 if ended else pause)
            for key, _ in ready:
                chunk = os.read(key.fd, 1 << 16)
                if not chunk:
                    selector.unregister(key.fd)
                kept[key.fd] += chunk
                counts[key.fd] += len(chunk)
            del kept[errors][:-_LONGEST]
            if counts[output] > MOST:
                raise _BoundError(f"printed more than libvirt reads, which is {_size(MOST)}")
            if counts[errors] > MOST:
                raise _BoundError(f"printed more than {_size(MOST)} of messages")
            if ended and not ready:
                break
            if time.monotonic() > deadline:
                raise _BoundError(f"took longer than {PATIENCE} s")
    return bytes(kept[output]), bytes(kept[errors])


def _pipe(stream: IO[bytes] | None) -> int:
    if stream is None:
        raise AssertionError("the command has no pipe for what it prints")
    return stream.fileno()


def _size(count: int) -> str:
    return f"{count >> 20} MiB"


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether a command has ended. Its number stays its own, so that :func:`_end` ends no other's
    processes."""
    if process.returncode is not None:
        return True
    return bool(os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command and what it has started."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _error(path: str, reason: str) -> ReadError:
    return ReadError(path, f"this template was not rendered: {reason}")
