"""Renders a template with a command that the user names.

Only the command line can name the command, and the settings of a repository cannot. So a person who
checks a repository runs nothing from it.
"""

from __future__ import annotations

import shlex
import subprocess
import tempfile

from lockcfg.conf.load import MAX_SIZE
from lockcfg.errors import ReadError, UsageError
from lockcfg.printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

#: How long the command may take for one template, in seconds.
PATIENCE: Final = 60

#: What the path of the template replaces.
_PATH: Final = "{}"


def renderer(command: str) -> Callable[[str], bytes]:
    """A function that renders the template at a path with ``command``; no shell is involved.

    The path replaces each ``{}``; if there is none, the path comes last. The output of the command
    is the text. Raises UsageError if ``command`` cannot be split into words. The function raises
    ReadError if the command cannot be run, fails, takes longer than :data:`PATIENCE`, or prints
    more than libvirt reads.
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
        with tempfile.TemporaryFile() as output:
            try:
                done = subprocess.run(
                    [word.replace(_PATH, path) for word in words],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.PIPE,
                    timeout=PATIENCE,
                    check=False,
                )
            except OSError as error:
                raise _error(path, f"'{words[0]}' cannot be run: {error.strerror}") from error
            except subprocess.TimeoutExpired as error:
                raise _error(path, f"'{words[0]}' took longer than {PATIENCE} s") from error
            if done.returncode:
                said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
                why = f": {printable(said)}" if said else ""
                raise _error(path, f"'{words[0]}' ended with status {done.returncode}{why}")
            output.seek(0)
            text = output.read(MAX_SIZE + 1)
        if len(text) > MAX_SIZE:
            raise _error(path, f"'{words[0]}' printed more than libvirt reads")
        return text

    return render


def _error(path: str, reason: str) -> ReadError:
    return ReadError(path, f"this template was not rendered: {reason}")
