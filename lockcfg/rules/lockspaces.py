"""What several rules ask about lockspace directories."""

from __future__ import annotations

import os
from functools import lru_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from lockcfg.conf.document import Entry
    from lockcfg.host.host import Configuration


def lockspaces_in_use(configuration: Configuration) -> Iterator[tuple[Entry, str]]:
    """The settings that name a lockspace directory in use, and the directories."""
    for key, directory in configuration.lockspaces.items():
        entry = configuration.documents["lockd"].get(key)
        assert entry is not None
        yield entry, directory


# The hosts of a fleet have few lockspaces between them.
@lru_cache(maxsize=1024)
def relation(directory: str, other: str) -> Literal["same", "inside", "around"] | None:
    """What one absolute path is to another; None where they have nothing to do with each other."""
    paths = os.path.normpath(directory), os.path.normpath(other)
    one, two = (os.path.commonpath((path,)) for path in paths)
    if one == two:
        return "same"
    common = os.path.commonpath(paths)
    if common == two:
        return "inside"
    return "around" if common == one else None
