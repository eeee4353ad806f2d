"""What one audit hands on to the next of the same fleet: results, by what they follow from.

Nothing in it decides anything: an audit without it comes to the same.
"""

from __future__ import annotations

import json
from typing import Generic, TypeVar

from lockcfg.fleet.model.serialised import facts_from
from lockcfg.fleet.model.uses import Use

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from lockcfg.fleet.comparison.result import DiskRow
    from lockcfg.fleet.model.facts import Facts

K = TypeVar("K")
T = TypeVar("T")


class Memory:
    """The facts and the uses of disks of the last audit, each once, and its verdicts on disks."""

    def __init__(self) -> None:
        self._facts: _Kept[str, Facts] = _Kept()
        self._uses: _Kept[str, Use] = _Kept()
        self._disks: _Kept[Hashable, tuple[tuple[object, ...], list[DiskRow]]] = _Kept()

    def begin(self) -> None:
        """Another audit begins: what the last one did not ask for is forgotten."""
        for kept in (self._facts, self._uses, self._disks):
            kept.turn()

    def facts(self, text: str) -> Facts:
        """The facts in JSON."""
        return self._facts.get(text, lambda: facts_from(json.loads(text)))

    def use(self, text: str) -> Use:
        """The use of a disk in JSON."""
        return self._uses.get(text, lambda: Use.from_json(text))

    def disks(
        self, key: Hashable, of: tuple[object, ...], judge: Callable[[], Iterable[DiskRow]]
    ) -> list[DiskRow]:
        """The verdict on a disk. ``key`` is what it follows from, where the objects ``of`` it are
        named by their identities: so they are kept as long as the verdict."""
        return self._disks.get(key, lambda: (of, list(judge())))[1]


class _Kept(Generic[K, T]):
    """What was asked for in this audit, and in the one before."""

    def __init__(self) -> None:
        self._now: dict[K, T] = {}
        self._before: dict[K, T] = {}

    def turn(self) -> None:
        self._before, self._now = self._now, {}

    def get(self, key: K, make: Callable[[], T]) -> T:
        found = self._now.get(key)
        if found is None:
            found = self._before.get(key)
            self._now[key] = found = make() if found is None else found
        return found
