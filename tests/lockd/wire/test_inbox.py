"""A stream is cut into the same messages, however it arrives."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockd.programs import lock
from lockd.wire.inbox import KEPT, Inbox
from lockd.wire.message import CALL, HEADER_SIZE, MAX_SIZE, OK, Header, pack_message, read_header

#: What a message says of itself if it counts everything.
LARGEST = MAX_SIZE + 4


def message(payload: bytes, serial: int = 1) -> bytes:
    """A call with that payload."""
    return pack_message(Header(0, lock.PROGRAM, 1, 6, CALL, serial, OK), payload)


THREE = [message(b"", 1), message(b"abc", 2), message(bytes(range(64)), 3)]


def fed(inbox: Inbox, *pieces: bytes) -> list[bytes]:
    """All that comes out."""
    return [each for piece in pieces for each in inbox.feed(piece)]


def test_whole() -> None:
    """Nothing is left over."""
    inbox = Inbox()
    assert fed(inbox, b"".join(THREE)) == THREE
    assert inbox.state == (b"", 0)
    assert not inbox.partial
    assert not inbox.broken


def test_byte_by_byte() -> None:
    """Each message comes with its last byte, and not before."""
    inbox = Inbox()
    for each in THREE:
        for at in range(len(each) - 1):
            assert inbox.feed(each[at : at + 1]) == []
            assert inbox.partial
            assert inbox.state == (each[: at + 1], 0)
        assert inbox.feed(each[-1:]) == [each]
        assert not inbox.partial


def test_at_every_split_point() -> None:
    """In two pieces, and in three."""
    stream = b"".join(THREE)
    for first in range(len(stream) + 1):
        assert fed(Inbox(), stream[:first], stream[first:]) == THREE
        for second in range(first, len(stream) + 1, 7):
            pieces = stream[:first], stream[first:second], stream[second:]
            assert fed(Inbox(), *pieces) == THREE


def test_handed_over_at_every_byte() -> None:
    """Another inbox goes on from the state of the first."""
    stream = b"".join(THREE)
    for at in range(len(stream) + 1):
        first = Inbox()
        before = first.feed(stream[:at])
        second = Inbox(*first.state)
        assert second.partial == first.partial
        assert before + second.feed(stream[at:]) == THREE


@pytest.mark.parametrize("behind", [b"\0", b"\0\0\0", bytes(HEADER_SIZE - 4)])
def test_trailing_bytes_wait(behind: bytes) -> None:
    """What stands behind a message is the beginning of the next."""
    inbox = Inbox()
    assert fed(inbox, THREE[1] + behind) == [THREE[1]][: 1 if len(behind) < 4 else 2]
    if len(behind) < 4:
        assert inbox.state == (behind, 0)
        assert not inbox.broken
    else:
        assert inbox.broken == "a message of 0 bytes"


@pytest.mark.parametrize(
    "length", [0, 1, 4, HEADER_SIZE - 1, LARGEST + 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
)
@pytest.mark.parametrize("whole", [True, False])
def test_a_length_that_no_message_has(length: int, whole: bool) -> None:
    """Ends it, as soon as it is there; what came before stands, and nothing comes after."""
    inbox = Inbox()
    stream = THREE[0] + pack(">I", length) + bytes(100)
    pieces = [stream] if whole else [stream[at : at + 1] for at in range(len(stream))]
    assert fed(inbox, *pieces) == [THREE[0]]
    assert inbox.broken == f"a message of {length} bytes"
    assert not inbox.partial
    assert inbox.feed(THREE[1]) == []
    assert inbox.broken == f"a message of {length} bytes"
    assert len(inbox.state[0]) <= 4


@pytest.mark.parametrize("length", [HEADER_SIZE, LARGEST])
def test_a_length_that_a_message_may_have(length: int) -> None:
    """At either end."""
    inbox = Inbox()
    inbox.feed(pack(">I", length))
    assert not inbox.broken
    assert inbox.partial


@pytest.mark.parametrize("extra", [-1, 0, 1, 5, 4096])
def test_of_an_overlong_message_the_beginning_is_kept(extra: int) -> None:
    """The rest is passed over, and what follows is the next message."""
    long = message(bytes(range(256)) * 1025)[: KEPT + extra]
    long = pack(">I", len(long)) + long[4:]
    stream = long + THREE[1]
    whole = Inbox()
    assert whole.feed(stream) == [long[:KEPT], THREE[1]]
    assert whole.state == (b"", 0)
    alone = Inbox()
    assert alone.feed(long) == [long[:KEPT]]
    pieces = Inbox()
    found: list[bytes] = []
    for at in range(0, len(stream), 4096):
        found += pieces.feed(stream[at : at + 4096])
        assert len(pieces.state[0]) <= KEPT
    assert found == [long[:KEPT], THREE[1]]
    assert not pieces.partial


def test_the_longest_message_takes_no_more_room() -> None:
    """32 MiB go by, and 256 KiB are kept."""
    inbox = Inbox()
    assert inbox.feed(pack(">I", LARGEST) + message(b"")[4:]) == []
    left = LARGEST - HEADER_SIZE
    while left > 1 << 16:
        assert inbox.feed(bytes(1 << 16)) == []
        left -= 1 << 16
        rest, skip = inbox.state
        assert len(rest) <= KEPT
        assert len(rest) + skip + left >= KEPT
    (found,) = inbox.feed(bytes(left))
    assert len(found) == KEPT
    assert read_header(found).length == LARGEST
    assert inbox.feed(THREE[2]) == [THREE[2]]


@given(
    st.lists(st.binary(max_size=60), max_size=5),
    st.binary(max_size=40),
    st.lists(st.integers(1, 50), max_size=30),
    st.integers(HEADER_SIZE, 60),
)
def test_however_it_is_cut(
    payloads: list[bytes], behind: bytes, sizes: list[int], kept: int
) -> None:
    """All ways give the same messages, the same end and the same rest, also if long ones are
    cut short."""
    stream = b"".join(map(message, payloads)) + behind
    whole = Inbox(kept=kept)
    expected = whole.feed(stream)
    assert expected[: len(payloads)] == [message(each)[:kept] for each in payloads]
    pieces = Inbox(kept=kept)
    found: list[bytes] = []
    at = 0
    for size in [*sizes, len(stream)]:
        found += pieces.feed(stream[at : at + size])
        at += size
    assert found == expected
    assert pieces.broken == whole.broken
    if not whole.broken:
        assert pieces.state == whole.state
        assert pieces.partial == whole.partial


@given(st.lists(st.binary(max_size=100), max_size=20))
def test_garbage(pieces: list[bytes]) -> None:
    """It is messages, or the beginning of one, or breaks the stream."""
    inbox = Inbox(kept=64)
    for piece in pieces:
        for each in inbox.feed(piece):
            assert HEADER_SIZE <= len(each) <= 64
            assert read_header(each).length >= len(each)
        assert len(inbox.state[0]) <= max(64, HEADER_SIZE)
