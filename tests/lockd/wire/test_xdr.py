"""XDR: there and back, and what is none."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockd.wire.xdr import (
    MAX_STRING,
    DecodeError,
    Reader,
    pack_double,
    pack_hyper,
    pack_int,
    pack_opaque,
    pack_optional,
    pack_string,
    pack_uhyper,
    pack_uint,
    signed,
)

if TYPE_CHECKING:
    from collections.abc import Callable

#: Any bytes but NUL may be in a string.
STRINGS = st.binary(max_size=80).map(
    lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape")
)

#: What there is: values, how they are packed, how they are read.
KINDS: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], bytes], Callable[[Reader], Any]]] = {
    "int": (st.integers(-(1 << 31), (1 << 31) - 1), pack_int, Reader.sint),
    "uint": (st.integers(0, (1 << 32) - 1), pack_uint, Reader.uint),
    "hyper": (st.integers(-(1 << 63), (1 << 63) - 1), pack_hyper, Reader.hyper),
    "uhyper": (st.integers(0, (1 << 64) - 1), pack_uhyper, Reader.uhyper),
    "double": (st.floats(allow_nan=False), pack_double, Reader.double),
    "opaque": (st.binary(min_size=7, max_size=7), pack_opaque, lambda reader: reader.opaque(7)),
    "string": (STRINGS, pack_string, Reader.string),
    "optional": (
        st.none() | STRINGS,
        pack_optional,
        lambda reader: reader.optional(reader.string),
    ),
}


@st.composite
def values(draw: st.DrawFn) -> tuple[str, Any]:
    """A value of any kind."""
    kind = draw(st.sampled_from([*KINDS]))
    return kind, draw(KINDS[kind][0])


@given(st.lists(values(), max_size=10), st.binary(max_size=9))
def test_what_is_packed_is_read(sent: list[tuple[str, Any]], behind: bytes) -> None:
    """One after the other, whatever stands before and behind."""
    packed = b"".join(KINDS[kind][1](value) for kind, value in sent)
    assert len(packed) % 4 == 0
    reader = Reader(b"head" + packed + behind, 4)
    assert [(kind, KINDS[kind][2](reader)) for kind, _ in sent] == sent


@given(values(), st.data())
def test_what_is_cut_off_is_refused(sent: tuple[str, Any], data: st.DataObject) -> None:
    """At every byte, the padding too."""
    kind, value = sent
    packed = KINDS[kind][1](value)
    with pytest.raises(DecodeError):
        KINDS[kind][2](Reader(packed[: data.draw(st.integers(0, len(packed) - 1))]))


@given(st.binary(max_size=64), st.lists(st.sampled_from([*KINDS]), max_size=8))
def test_bytes_are_values_or_refused(garbage: bytes, kinds: list[str]) -> None:
    """And nothing else happens."""
    reader = Reader(garbage)
    try:
        for kind in kinds:
            KINDS[kind][2](reader)
    except DecodeError as error:
        assert str(error)


def test_as_rfc_4506_has_it() -> None:
    """Bytes that were written by hand."""
    assert pack_string("sillyprog") == b"\0\0\0\x09sillyprog\0\0\0"
    assert pack_int(-2) == b"\xff\xff\xff\xfe"
    assert pack_hyper(-2) == b"\xff" * 7 + b"\xfe"
    assert pack_double(1.0) == struct.pack(">d", 1.0)
    assert pack_optional(None) == bytes(4)
    assert pack_optional("") == b"\0\0\0\1\0\0\0\0"
    assert pack_opaque(b"abcde") == b"abcde\0\0\0"


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, MAX_STRING - 1, MAX_STRING])
def test_strings_of_all_lengths(size: int) -> None:
    """Up to the longest."""
    assert Reader(pack_string("x" * size)).string() == "x" * size


def test_a_string_that_is_too_long() -> None:
    """It is refused though all of it is there."""
    with pytest.raises(DecodeError, match="65537 bytes, where at most 65536"):
        Reader(pack_string("x" * (MAX_STRING + 1))).string()
    assert len(Reader(pack_string("x" * (MAX_STRING + 1))).string(MAX_STRING + 1)) == 65537


@pytest.mark.parametrize("size", [5, 65536, 65537, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_a_length_that_lies(size: int) -> None:
    """It is believed as far as there are bytes."""
    with pytest.raises(DecodeError):
        Reader(pack_uint(size) + b"abcd").string()


@pytest.mark.parametrize("text", [b"\0", b"a\0b", b"abc\0"])
def test_a_string_with_a_nul(text: bytes) -> None:
    """It is not a string."""
    with pytest.raises(DecodeError, match="NUL"):
        Reader(pack_uint(len(text)) + pack_opaque(text)).string()


def test_padding_decides_nothing() -> None:
    """As for libvirt: whatever it is, the next value is behind it."""
    reader = Reader(b"\0\0\0\1a\xff\xff\xff\0\0\0\7")
    assert reader.string() == "a"
    assert reader.uint() == 7


@pytest.mark.parametrize("there", [1, 2, 0xFFFFFFFF])
def test_any_number_but_0_says_that_there_is_a_value(there: int) -> None:
    """As it does for libvirt."""
    reader = Reader(pack_uint(there) + pack_string("x"))
    assert reader.optional(reader.string) == "x"


def test_lists() -> None:
    """As many values as it says, if no more than there may be and no fewer than there are."""
    three = pack_uint(3) + b"".join(map(pack_uint, (7, 8, 9)))
    reader = Reader(three)
    assert reader.array(reader.uint, 3) == [7, 8, 9]
    reader = Reader(three)
    with pytest.raises(DecodeError, match="3 values, where at most 2"):
        reader.array(reader.uint, 2)
    reader = Reader(pack_uint(0xFFFFFFFF) + bytes(64))
    with pytest.raises(DecodeError):
        reader.array(reader.uint, 32)
    reader = Reader(three[:-1])
    with pytest.raises(DecodeError):
        reader.array(reader.uint, 3)


@given(st.integers(0, (1 << 32) - 1))
def test_signed(number: int) -> None:
    """The same bits."""
    assert pack_int(signed(number)) == pack_uint(number)
