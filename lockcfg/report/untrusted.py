"""Text out of files in a report: what no format can hold is taken out.

What comes out of files may hold anything. The encoders of the standard library do the rest.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: What XML 1.0 cannot hold, and what drives a terminal that shows a log.
_UNPRINTABLE: Final = "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]"

#: Characters that turn the direction of a text or have no width.
_DIRECTIONS: Final = "[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"


def clean(text: str) -> str:
    """``text`` with U+FFFD for what is not text: control characters, bytes that were not UTF-8."""
    return re.sub(_UNPRINTABLE, "\ufffd", text)


def plain(text: str) -> str:
    """:func:`clean`, and U+FFFD for what makes a log show text in another order, or not at all."""
    return re.sub(_DIRECTIONS, "\ufffd", clean(text))
