"""Reads all snapshots of a fleet into a store, in several processes if there are many."""

from __future__ import annotations

import os

from lockcfg.fleet.snapshots.sources import sources_of
from lockcfg.fleet.store.ingester import Ingester
from lockcfg.fleet.store.store import Store
from lockcfg.workers import MOST_JOBS, share
from lockcfg.workers import processes as cpus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Final

    from lockcfg.fleet.snapshots.sources import Source

#: How many sources make it pay to share them among processes.
_MANY: Final = 300


def ingest(
    paths: Sequence[str],
    store: Store,
    *,
    progress: Callable[[int], None] | None = None,
    processes: int | None = None,
) -> None:
    """Read all snapshots at and below ``paths`` into ``store`` and finish it.

    Stores among them are joined to it. Raises :class:`ReadError` for a path that is not there.
    """
    ingest_sources(list(sources_of(paths)), store, progress=progress, processes=processes)


def ingest_sources(
    sources: Sequence[Source],
    store: Store,
    *,
    progress: Callable[[int], None] | None = None,
    processes: int | None = None,
) -> None:
    """Read all snapshots of ``sources`` into ``store`` and finish it."""
    stores = [source.path for source in sources if source.kind == "store"]
    rest = [source for source in sources if source.kind != "store"]
    workers = processes or (cpus() if len(rest) >= _MANY else 1)
    if workers > 1 and len(rest) > 1 and all(source.path != "-" for source in rest):
        _ingest_together(rest, store, workers, progress)
    else:
        Ingester(store, progress).read(rest)
    for path in stores:
        store.join(path)
    store.finish()


def _ingest_together(
    sources: Sequence[Source],
    store: Store,
    workers: int,
    progress: Callable[[int], None] | None,
) -> None:
    """Deal the sources out among processes, each of which makes a store of its part."""
    import shutil
    import tempfile

    size = -(-len(sources) // MOST_JOBS)
    jobs = [sources[at : at + size] for at in range(0, len(sources), size)]

    def into(path: str) -> Callable[[Iterator[int]], str]:
        def work(numbers: Iterator[int]) -> str:
            part = Store.create(path)
            Ingester(part).read(source for number in numbers for source in jobs[number])
            part.end()
            return path

        return work

    def here(numbers: Iterator[int]) -> str:
        Ingester(store, progress).read(source for number in numbers for source in jobs[number])
        return ""

    directory = tempfile.mkdtemp(prefix="lockcfg-audit-")
    try:
        others = [into(os.path.join(directory, str(number))) for number in range(1, workers)]
        paths = share(
            len(jobs),
            here,
            others,
            whose="audit",
            help="memory may be short: audit a part at a time with --partial",
        )
        for path in list(paths)[1:]:
            store.join(path)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
