"""Gives the store of what a command names: the fleet store itself, or one made of snapshots.

What reads snapshots is imported only for these.
"""

from __future__ import annotations

import os
from contextlib import closing, contextmanager

from lockcfg.errors import ReadError
from lockcfg.fleet.snapshots.sources import is_store, sources_of
from lockcfg.fleet.store.store import Store
from lockcfg.fleet.store.tables import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Final

#: What content that is not as it was written leads to. SQLite notices only damage to its own pages.
_DAMAGE: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


@contextmanager
def opened(
    paths: Sequence[str], *, progress: Callable[[int], None] | None = None
) -> Iterator[Store]:
    """A store of all snapshots at and below ``paths``, closed afterwards. Raises
    :class:`ReadError` for a path that is not there, and as :func:`reading`."""
    with reading(paths), closing(store_of(paths, progress=progress)) as store:
        yield store


@contextmanager
def reading(paths: Sequence[str]) -> Iterator[None]:
    """Raises :class:`ReadError` if what is done meanwhile shows that one of the stores at ``paths``
    is damaged."""
    try:
        yield
    except _DAMAGE as error:
        stores = [source.path for source in sources_of(paths) if source.kind == "store"]
        if not stores:
            raise
        raise _not_whole(stores[0], error, "make it again from the snapshots") from error


@contextmanager
def keeping(path: str) -> Iterator[None]:
    """The same for the store at ``path`` that is kept up to date."""
    try:
        yield
    except _DAMAGE as error:
        advice = "remove it: it is made again from the spool, and its history is lost"
        raise _not_whole(path, error, advice) from error


def _not_whole(path: str, error: Exception, advice: str) -> ReadError:
    why = f"is not a whole fleet store: {type(error).__name__}: {error}"
    return ReadError(path, why, help=advice)


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
