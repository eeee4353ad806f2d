"""The programs of the RPC protocol that the daemon serves: one folder each, one file a procedure.

To add a procedure, write its file with a function ``call``, and put its name in the table of its
program, by its number.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from lockd.rpc.dispatch import Procedure


def procedures(package: str, names: Mapping[int, str]) -> dict[int, Procedure[Any]]:
    """The procedures of the program in ``package``, whose files have these names, by number."""
    return {number: import_module(f"{package}.{name}").call for number, name in names.items()}
