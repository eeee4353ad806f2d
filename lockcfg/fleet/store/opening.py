"""Gives the store of what a command names: the fleet store itself, or one made of snapshots.

What reads snapshots is imported only for these.
"""

from __future__ import annotations

import os

from lockcfg.fleet.snapshots.sources import is_store
from lockcfg.fleet.store.store import Store
from lockcfg.fleet.store.tables import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def store_of(paths: Sequence[str], *, progress: Callable[[int], None] | None = None) -> Store:
    """A store of all snapshots at and below ``paths``, to be closed. Raises :class:`ReadError` for
    a path that is not there."""
    if len(paths) != 1 or not (os.path.isfile(paths[0]) and is_store(paths[0])):
        from lockcfg.fleet.store.ingest import ingest

        store = Store.create()
        ingest(paths, store, progress=progress)
        return store
    store = Store.open(paths[0])
    if store.version != VERSION:
        store.close()
        store = Store.create()
        store.join(paths[0])
        store.finish()
    return store
