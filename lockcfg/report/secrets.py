"""Keeping passwords out of what is printed."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: What stands in for a password.
HIDDEN: Final = '"********"'

#: A name like that of a secret setting, misspelt or not, and all that is, or seems to be, assigned
#: to it: the rest of the line, as the end of the value is unknown.
_ASSIGNED: Final = r"""([A-Za-z0-9_]*pas+w[A-Za-z0-9_]*[ \t]*(?:[=:][ \t]*|(?=["'\[])))([^\r\n]+)"""


def hide_secrets(line: str) -> str:
    """A line of a configuration file with the passwords in it replaced.

    The settings are those that the schemas mark as secret; a test holds the two together.
    """
    if "pas" not in line:
        return line
    return re.sub(_ASSIGNED, lambda match: match.group(1) + HIDDEN, line)
