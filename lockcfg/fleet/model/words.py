"""What the policy says about storage that no host can identify: ``same-storage`` and
``different-storage``. It names places as the audit shows them. Pure."""

from __future__ import annotations

from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final, Literal


class Words(Frozen):
    """``same`` has lists of places that are all the same, ``different`` has lists of places of
    which no two are. A place stands for everything below it."""

    __slots__ = ("different", "same")

    def __init__(
        self, same: Iterable[Iterable[str]] = (), different: Iterable[Iterable[str]] = ()
    ) -> None:
        self.same: Final = tuple(tuple(places) for places in same)
        self.different: Final = tuple(tuple(places) for places in different)

    def names(self, shown: str) -> bool:
        """Whether the policy says anything about a place, alone or with others."""
        return any(
            _below(shown, place) is not None
            for places in (*self.same, *self.different)
            for place in places
        )

    def about(self, one: str, other: str) -> Literal["same", "different"] | None:
        """What the policy says about two places; None if it says nothing."""
        for places in self.same:
            mine = {rest for place in places if (rest := _below(one, place)) is not None}
            yours = {rest for place in places if (rest := _below(other, place)) is not None}
            if mine & yours:
                return "same"
        for places in self.different:
            at = [_index(shown, places) for shown in (one, other)]
            if None not in at and at[0] != at[1]:
                return "different"
        return None


def _below(shown: str, place: str) -> str | None:
    """The part of ``shown`` below ``place``; None if it is not below it."""
    top = place.rstrip("/")
    return shown[len(top) :] if shown == top or shown.startswith((f"{top}/", f"{top}:")) else None


def _index(shown: str, places: Iterable[str]) -> int | None:
    return next(
        (number for number, place in enumerate(places) if _below(shown, place) is not None), None
    )
