"""Removes from the text of files what no report format can contain.

The content of files may be anything. The encoders of the standard library do the rest.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: Characters that XML 1.0 cannot contain, and characters that drive a terminal that shows a log.
_UNPRINTABLE: Final = "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]"

#: Characters that turn the direction of a text or have no width.
_DIRECTIONS: Final = "[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"


def clean(text: str) -> str:
    """``text`` with U+FFFD in place of control characters and of bytes that were not UTF-8."""
    return re.sub(_UNPRINTABLE, "\ufffd", text)


def plain(text: str) -> str:
    """:func:`clean`, and U+FFFD in place of characters that make a log show text in another order,
    or not at all."""
    return re.sub(_DIRECTIONS, "\ufffd", clean(text))
