"""The files that come with the package: lenses, schemas, and what packaging/prepared wrote.

They are beside the package in a checkout and inside it in a wheel.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


def _directory(name: str) -> str:
    package = os.path.dirname(os.path.abspath(__file__))
    inside = os.path.join(package, name)
    return inside if os.path.isdir(inside) else os.path.join(os.path.dirname(package), name)


LENSES: Final = _directory("lenses")
SCHEMAS: Final = _directory("schemas")


def prepared(name: str) -> str:
    """The text of a file that packaging/prepared wrote: what a command prints as it is.

    Raises OSError if the installation is incomplete.
    """
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "prepared", name)
    with open(path, encoding="utf-8") as file:
        return file.read()
