"""Renders a template with a command that the user names.

Only the command line can name the command, and the settings of a repository cannot. So a person who
checks a repository runs nothing from it.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
from contextlib import suppress

from lockcfg.conf.load import MAX_SIZE, read_bytes
from lockcfg.errors import ReadError, UsageError
from lockcfg.printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

#: How long the command may take for one template, in seconds.
PATIENCE: Final = 60

#: How much of the end of what a command says of its failure is looked at, in bytes.
_LONGEST: Final = 4096

#: What the path of the template replaces.
_PATH: Final = "{}"


def renderer(command: str) -> Callable[[str], bytes]:
    """A function that renders the template at a path with ``command``; no shell is involved.

    The path replaces each ``{}``; if there is none, the path comes last. The output of the command
    is the text. What the command has started is ended with it. Raises UsageError if ``command``
    cannot be split into words. The function raises ReadError if the template is not a regular file
    or larger than libvirt reads, or if the command cannot be run, fails, takes longer than
    :data:`PATIENCE`, or prints more than libvirt reads.
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
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(
                    [word.replace(_PATH, path) for word in words],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=errors,
                    start_new_session=True,
                )
            except OSError as error:
                raise _error(path, f"'{words[0]}' cannot be run: {error.strerror}") from error
            try:
                status = process.wait(PATIENCE)
            except subprocess.TimeoutExpired as error:
                raise _error(path, f"'{words[0]}' took longer than {PATIENCE} s") from error
            finally:
                # Also what it has left in the background.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if status:
                errors.seek(max(0, errors.seek(0, os.SEEK_END) - _LONGEST))
                said = errors.read().decode(errors="replace").strip().rpartition("\n")[2]
                why = f": {printable(said)}" if said else ""
                raise _error(path, f"'{words[0]}' ended with status {status}{why}")
            output.seek(0)
            text = output.read(MAX_SIZE + 1)
        if len(text) > MAX_SIZE:
            raise _error(path, f"'{words[0]}' printed more than libvirt reads")
        return text

    return render


def _error(path: str, reason: str) -> ReadError:
    return ReadError(path, f"this template was not rendered: {reason}")
