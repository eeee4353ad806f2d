"""Tuples with named fields, without ``typing``."""

from __future__ import annotations

import pytest

from lockd.wire.dialect import Dialect
from lockd.wire.message import Header
from lockd.wire.record import Record


class Point(Record):
    """Where it is."""

    x: int
    y: int = 2


def test_is_a_tuple_with_names_and_defaults() -> None:
    point = Point(1)
    assert (point, point.x, point.y) == ((1, 2), 1, 2)
    assert point._replace(x=5) == Point(5, 2)
    assert repr(point) == "Point(x=1, y=2)"
    assert (Point.__module__, Point.__doc__) == (__name__, "Where it is.")
    with pytest.raises(AttributeError):
        point.x = 3  # type: ignore[misc]  # what is tried


def test_the_records_have_their_fields_in_order() -> None:
    assert Header(*range(7))._fields[:3] == ("length", "program", "version")
    assert Dialect((9, 0, 0)).procedures == 18
