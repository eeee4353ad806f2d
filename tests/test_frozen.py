"""A value object is set once, by its constructor."""

from __future__ import annotations

import copy
import pickle
from typing import Final

import pytest

from lockcfg.frozen import Frozen


class Point(Frozen):
    """A value object of two fields."""

    __slots__ = ("x", "y")

    def __init__(self, x: int, *, y: int = 0) -> None:
        self.x: Final = x
        self.y: Final = y


class Named(Point):
    """A value object that has the fields of another, and one more."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        super().__init__(1, y=2)
        self.name: Final = name


@pytest.mark.parametrize("made", [Point(1, y=2), Named("a"), Point(3).replace(x=1, y=2)])
@pytest.mark.parametrize("change", [setattr, lambda made, name, _: delattr(made, name)])
def test_nothing_changes_it(made: Point, change: object) -> None:
    """Neither an assignment nor a deletion."""
    assert callable(change)
    with pytest.raises(AttributeError):
        change(made, "x", 5)
    with pytest.raises(AttributeError):
        change(made, "other", 5)
    assert (made.x, made.y) == (1, 2)


def test_it_is_of_its_class() -> None:
    """However it is made: the constructor, :meth:`Frozen.replace`, pickle or copy."""
    made = Point(1, y=2)
    for each in (made, made.replace(), pickle.loads(pickle.dumps(made)), copy.copy(made)):
        assert type(each) is Point
        assert each == made
        assert hash(each) == hash(made)
        assert repr(each) == "Point(x=1, y=2)"
    assert type(Named("a")) is Named
    assert Named("a") != made
