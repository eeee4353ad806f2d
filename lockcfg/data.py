"""Where the lenses and schemas are: beside the package in a checkout, inside it in a wheel."""

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
