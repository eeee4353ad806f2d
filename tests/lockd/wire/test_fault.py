"""The error in a reply: the bytes, and that a client reads what was said."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockd.wire import fault as faults
from lockd.wire.dialect import Dialect, dialect_of
from lockd.wire.fault import Fault, fault, system_fault, unsupported_flags
from lockd.wire.message import ERROR, OK, pack_reply, read_header
from tests.lockd.client import Refused, read_refused

#: Program, version, procedure and serial.
CALLED = 1, 2, 3, 4

TEXTS = st.binary(max_size=80).map(
    lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape")
)
NUMBERS = st.integers(-(1 << 31), (1 << 31) - 1)


OLD, NEW = dialect_of((9, 0, 0)), dialect_of((11, 3, 0))


def read(error: Fault, dialect: Dialect = OLD) -> Refused:
    """What a client finds."""
    return read_refused(pack_reply(*CALLED, error.pack(dialect), ERROR))


def test_bytes() -> None:
    """Written by hand, from libvirt's description of the protocol."""
    assert Fault(87, 51, "busy", ("%s", "b"), (5, -1)).pack(OLD) == b"".join(
        (
            b"\0\0\0\x57\0\0\0\x33",
            b"\0\0\0\1\0\0\0\4busy",
            b"\0\0\0\2",
            b"\0\0\0\0",
            b"\0\0\0\1\0\0\0\2%s\0\0",
            b"\0\0\0\1\0\0\0\1b\0\0\0",
            b"\0\0\0\0",
            b"\0\0\0\5\xff\xff\xff\xff",
            b"\0\0\0\0",
        )
    )


@given(NUMBERS, NUMBERS, TEXTS, st.tuples(TEXTS, TEXTS), st.tuples(NUMBERS, NUMBERS))
def test_round_trip(
    code: int, domain: int, message: str, strings: tuple[str, str], numbers: tuple[int, int]
) -> None:
    """Whatever the text: a name that is not UTF-8 comes back as the bytes that it was."""
    refused = read(Fault(code, domain, message, strings, numbers))
    assert refused == (code, domain, message, (*strings, None), numbers)


@pytest.mark.parametrize("code", sorted(faults._PREFIXES))
def test_the_usual_kind(code: int) -> None:
    """The format and what was cut in make the message."""
    refused = read(fault(code, faults.FROM_RPC, "detail 100%"))
    format_, detail, nothing = refused.strings
    assert format_ is not None
    assert format_.replace("%s", detail or "") == refused.message
    assert (detail, nothing, refused.numbers) == ("detail 100%", None, (-1, -1))


def test_newer_libvirt_numbers_what_is_cut_in() -> None:
    """But where the format is nothing else, as for the system's errors."""
    refused = read(fault(faults.INVALID_ARG, faults.FROM_RPC, "100%s"), NEW)
    assert refused.strings == ("invalid argument: %1$s", "100%s", None)
    assert read(fault(faults.RPC, faults.FROM_RPC, "x"), NEW).strings == ("%s", "x", None)
    assert read(unsupported_flags(1, "fun"), NEW).strings == ("fun", "flags", None)


def test_a_system_call_that_failed() -> None:
    """With the number of the error."""
    error = OSError(errno.ENOSPC, "No space left on device")
    refused = read(system_fault(faults.FROM_LOCKSPACE, "Unable to do it", error))
    assert refused.message == "Unable to do it: No space left on device"
    assert (refused.code, refused.numbers) == (38, (28, -1))
    assert read(system_fault(51, "x", OSError("without a number"))).numbers == (0, -1)


def test_flags() -> None:
    """The function is named, and the bits."""
    refused = read(unsupported_flags(0xFFFFFFFF, "fun"))
    assert refused.message == "unsupported flags (0xffffffff) in function fun"
    assert refused.strings == ("fun", "flags", None)


def test_a_reply_says_which_call_it_answers() -> None:
    """Program, version, procedure and serial."""
    header = read_header(pack_reply(*CALLED, b"abcd"))
    assert header == (32, 1, 2, 3, 1, 4, OK)


def test_libvirt_7_cuts_what_is_too_long() -> None:
    """Of a system call that failed only why is left."""
    old = dialect_of((7, 0, 0))
    for length in (1022, 1023, 5000):
        assert read(fault(1, 7, "é" * length), old).message == f"internal error: {'é' * 511}"
        assert read(fault(1, 7, "é" * length)).message == f"internal error: {'é' * length}"
    assert read(unsupported_flags(4, "f"), old) == read(unsupported_flags(4, "f"))
    why = OSError(errno.ENAMETOOLONG, "")
    for length, said in ((1003, f"{'x' * 1003}: "), (1004, "")):
        error = read(system_fault(51, "x" * length, why), old)
        assert error.message == error.strings[1] == f"{said}File name too long"
