"""Typed parameters: there and back, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockd.wire.parameters import (
    BOOLEAN,
    DOUBLE,
    INT,
    LLONG,
    STRING,
    UINT,
    ULLONG,
    Parameter,
    pack_parameters,
    read_parameters,
)
from lockd.wire.xdr import DecodeError, Reader

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))

VALUES: dict[int, st.SearchStrategy[int | float | str]] = {
    INT: st.integers(-(1 << 31), (1 << 31) - 1),
    UINT: st.integers(0, (1 << 32) - 1),
    LLONG: st.integers(-(1 << 63), (1 << 63) - 1),
    ULLONG: st.integers(0, (1 << 64) - 1),
    DOUBLE: st.floats(allow_nan=False),
    BOOLEAN: st.integers(0, 1),
    STRING: TEXTS,
}


@st.composite
def parameters(draw: st.DrawFn) -> Parameter:
    """A parameter of any type."""
    kind = draw(st.sampled_from([*VALUES]))
    return Parameter(draw(TEXTS), kind, draw(VALUES[kind]))


@given(st.lists(parameters(), max_size=32), st.binary())
def test_what_is_packed_is_read(sent: list[Parameter], behind: bytes) -> None:
    """Whatever stands behind it."""
    assert read_parameters(Reader(pack_parameters(sent) + behind)) == sent


@given(st.lists(parameters(), min_size=1, max_size=4), st.data())
def test_what_is_cut_off_is_refused(sent: list[Parameter], data: st.DataObject) -> None:
    """At every byte."""
    packed = pack_parameters(sent)
    cut = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(DecodeError):
        read_parameters(Reader(packed[:cut]))


@given(st.binary(max_size=200))
def test_bytes_are_parameters_or_refused(garbage: bytes) -> None:
    """And nothing else happens."""
    try:
        found = read_parameters(Reader(garbage))
    except DecodeError:
        return
    assert all(INT <= each.kind <= STRING for each in found)
