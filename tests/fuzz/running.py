"""What all targets have in common: atheris, or what stands in for it, and how a run begins."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

try:
    import atheris
except ModuleNotFoundError:  # it has no wheel for this Python
    from tests.fuzz import unguided as atheris

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable


def guided(*packages: str) -> contextlib.AbstractContextManager[None]:
    """Import these so that atheris sees what is covered."""
    found: contextlib.AbstractContextManager[None] = atheris.instrument_imports(include=[*packages])
    return found


def run(take: Callable[[bytes], None]) -> None:
    """Run by the arguments of the command line."""
    atheris.Setup(sys.argv, take)
    atheris.Fuzz()
