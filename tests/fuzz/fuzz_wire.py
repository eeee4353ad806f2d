"""The wire: a stream of bytes is cut into messages, and each of these is read."""

from __future__ import annotations

import contextlib

from tests.fuzz.running import guided, run

with guided("lockd"):
    from lockd.wire.inbox import KEPT, Inbox
    from lockd.wire.message import HEADER_SIZE, read_header
    from lockd.wire.parameters import read_parameters
    from lockd.wire.xdr import DecodeError, Reader


def TestOneInput(data: bytes) -> None:  # noqa: N802
    """However a stream is cut, the same messages come out of it."""
    whole, parts = Inbox(), Inbox()
    messages = whole.feed(data)
    cut = data[0] % (len(data) + 1) if data else 0
    assert messages == parts.feed(data[:cut]) + parts.feed(data[cut:])
    assert whole.broken == parts.broken
    assert len(whole.state[0]) <= KEPT
    for message in messages:
        if len(message) < HEADER_SIZE:
            continue
        read_header(message)
        for read in (lambda reader: reader.string(1024), read_parameters):
            with contextlib.suppress(DecodeError):
                read(Reader(message, HEADER_SIZE))


if __name__ == "__main__":
    run(TestOneInput)
