"""Sets of nodes for python-augeas 0.5, which Debian 12 has: later versions of the binding have
them, and the library has them since 1.6.

Only :mod:`lockcfg.conf.tree` uses it, in place of the binding's own class.
"""

from __future__ import annotations

from ctypes import byref, c_char_p
from typing import Any

import augeas


class Augeas(augeas.Augeas):  # type: ignore[misc]
    """The binding, with the three calls that it lacks. As in later versions, a node without a value
    has None, and nothing is copied: a value is a string of Python's own."""

    def ns_count(self, name: str) -> int:
        """How many nodes the set has. Raises RuntimeError if there is no such set."""
        return self._asked(self._libaugeas.aug_ns_count, name)

    def ns_attr(self, name: str, index: int) -> tuple[str | None, str | None, str | None]:
        """Value, label and file of a node. Raises RuntimeError if it does not exist."""
        found = (c_char_p(), c_char_p(), c_char_p())
        self._asked(self._libaugeas.aug_ns_attr, name, index, *map(byref, found))
        value, label, file = (None if each.value is None else each.value.decode() for each in found)
        return value, label, file

    def ns_value(self, name: str, index: int) -> str | None:
        """The value of a node. Raises RuntimeError if it does not exist."""
        found = c_char_p()
        self._asked(self._libaugeas.aug_ns_value, name, index, byref(found))
        return None if found.value is None else found.value.decode()

    def _asked(self, function: Any, name: str, *arguments: Any) -> int:
        result: int = function(self._Augeas__handle, name.encode(), *arguments)
        if result < 0:
            raise RuntimeError(f"Augeas has no such node of '{name}'")
        return result
