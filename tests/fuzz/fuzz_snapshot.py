"""Snapshots, which any host may send."""

from __future__ import annotations

from tests.fuzz.running import guided, run

with guided("lockcfg"):
    from lockcfg.fleet.snapshots.format import SnapshotError
    from lockcfg.fleet.store.ingester import Ingester
    from lockcfg.fleet.store.store import Store


def TestOneInput(data: bytes) -> None:  # noqa: N802
    """It goes into a store, or is refused."""
    store = Store.create()
    try:
        Ingester(store).snapshot("input", data)
    except SnapshotError:
        pass
    finally:
        store.close()


if __name__ == "__main__":
    run(TestOneInput)
