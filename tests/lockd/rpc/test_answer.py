"""What answers a message: a reply that a client can read, nothing, or the end of the connection,
and never an exception of another kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockd.programs import admin, inspect, lock
from lockd.rpc.dispatch import HangUpError
from lockd.wire.dialect import dialect_of
from lockd.wire.message import CALL, OK, Header, pack_message, read_header
from lockd.wire.xdr import pack_string, pack_uint, signed
from tests.lockd.client import (
    ACQUIRE,
    RELEASE,
    read_refused,
    registration,
    resource,
)
from tests.lockd.rpc.daemon import check_answer, connect, make_daemon

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lockd.daemon.daemon import Daemon
    from lockd.rpc.session import Session

#: Any number, and more often one that is at an edge.
WORDS = st.integers(0, (1 << 32) - 1) | st.sampled_from([0, 1, 2, 0x7FFFFFFF, 0x80000000, 1 << 31])

#: Arguments of bytes that never name a file: no string can begin with a slash.
ARGUMENTS = st.binary(max_size=120).map(lambda data: data.replace(b"/", b"."))


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that knows a lockspace."""
    made = make_daemon(f"1:file:{tmp_path}/log")
    (tmp_path / "space").mkdir()
    made.engine.create_lockspace(str(tmp_path / "space"))
    yield made
    made.engine.release_everything()
    for service in made.services.values():
        for each in [*service.clients.values()]:
            service.hang_up(each)


def call(procedure: int, arguments: bytes = b"", **other: int) -> bytes:
    """A call of the lock program, except for what is said."""
    header = Header(0, lock.PROGRAM, lock.VERSION, procedure, CALL, 7, OK)
    return pack_message(header._replace(**other), arguments)


def answered(message: bytes, daemon: Daemon, session: Session) -> tuple[int, int, str]:
    """Code, domain and text of the error that answers a message."""
    reply = check_answer(message, daemon, session)
    assert reply
    return read_refused(reply)[:3]


@settings(max_examples=2000)
@given(
    st.sampled_from(["virtlockd", "admin"]),
    st.sampled_from([lock.PROGRAM, admin.PROGRAM, inspect.PROGRAM, 0x6B656570]) | WORDS,
    st.sampled_from([1, 1, 1, 0, 2]) | WORDS,
    st.integers(0, 20) | WORDS.map(signed),
    st.sampled_from([CALL, CALL, CALL, 1, 2, 3, 4, 5, 6, 7, -1]),
    WORDS,
    st.sampled_from([OK, OK, OK, 1, 2, 3, -1]),
    ARGUMENTS,
)
def test_anything(
    made: Daemon,
    name: str,
    program: int,
    version: int,
    procedure: int,
    kind: int,
    serial: int,
    status: int,
    arguments: bytes,
) -> None:
    """A header of anything, and arguments of anything."""
    service = made.services[name]
    message = pack_message(Header(0, program, version, procedure, kind, serial, status), arguments)
    session, theirs = connect(service, made, 9)
    with theirs:
        try:
            check_answer(message, made, session)
        except HangUpError as error:
            assert str(error)
        finally:
            service.hang_up(session)


@pytest.fixture(scope="module")
def made() -> Daemon:
    """A daemon for all examples of a property."""
    return make_daemon("1:file:/dev/null")


def test_every_call_cut_off_at_every_byte(daemon: Daemon, tmp_path: Path) -> None:
    """It is refused as one that cannot be decoded, and has done nothing."""
    space = tmp_path / "space"
    calls = {
        1: registration("guest", 5004242),
        2: pack_uint(0),
        3: pack_string(f"{space}/new") + pack_uint(0),
        **{number: resource(space, "disk", 0) for number in (4, 5, 6, 7)},
        8: pack_string(f"{space}/more"),
    }
    session, theirs = connect(daemon.services["virtlockd"], daemon, 1)
    with theirs:
        for registered in (False, True):
            if registered:
                check_answer(call(1, calls[1]), daemon, session)
            for procedure, arguments in calls.items():
                for at in range(len(arguments)):
                    error = answered(call(procedure, arguments[:at]), daemon, session)
                    assert error == (39, 7, "Unable to decode message payload")
                assert list(space.iterdir()) == []
        assert not session.restricted


@pytest.mark.parametrize(
    ("release", "again", "dangling"),
    [
        (
            (7, 0, 0),
            "Requested operation is not valid: Lockspace for path {} already exists",
            "",
        ),
        ((9, 0, 0), "", "Unable to create lockspace {}: Not a directory"),
    ],
)
def test_a_lockspace_that_is_known_or_a_link_to_nothing(
    release: tuple[int, int, int], again: str, dangling: str, tmp_path: Path
) -> None:
    """libvirt 7.0 is told that one exists, and takes the other for one."""
    made = make_daemon("1:file:/dev/null", dialect_of(release))
    space, link = tmp_path / "space", tmp_path / "link"
    link.symlink_to("nowhere")
    session, theirs = connect(made.services["virtlockd"], made, 1)
    with theirs:
        for path, said in ((space, ""), (space, again), (link, dangling)):
            reply = check_answer(call(8, pack_string(str(path))), made, session)
            told = read_refused(reply).message if read_header(reply).status else ""
            assert told == said.format(path)
        # A file in the place of a directory that is known is an error, even if libvirt takes
        # "already exists" for none.
        space.rmdir()
        space.touch()
        told = read_refused(check_answer(call(8, pack_string(str(space))), made, session)).message
        assert told.endswith(f"Lockspace location {space} exists, but is not a directory")
        made.services["virtlockd"].hang_up(session)
    assert (str(link) in made.engine.table.spaces) == (not dangling)


def test_bytes_behind_the_arguments_decide_nothing(daemon: Daemon, tmp_path: Path) -> None:
    """As for libvirt."""
    space = tmp_path / "space"
    session, theirs = connect(daemon.services["virtlockd"], daemon, 1)
    with theirs:
        for procedure, arguments in (
            (1, registration("guest", 5004242)),
            (ACQUIRE, resource(space, "disk", 2)),
            (RELEASE, resource(space, "disk", 0)),
        ):
            reply = check_answer(call(procedure, arguments + b"\xff" * 9), daemon, session)
            assert read_header(reply).status == OK


def test_headers_that_are_wrong(daemon: Daemon) -> None:
    """Each is told what is wrong; what is not a call is told nothing."""
    session, theirs = connect(daemon.services["virtlockd"], daemon, 1)

    def told(message: bytes) -> tuple[int, int, str]:
        return answered(message, daemon, session)

    with theirs:
        assert told(call(99)) == (39, 7, "unknown procedure: 99")
        assert told(call(0)) == (39, 7, "unknown procedure: 0")
        assert told(call(1, program=5)) == (39, 7, "Cannot find program 5 version 1")
        assert told(call(1, program=0xFFFFFFFF)) == (39, 7, "Cannot find program -1 version 1")
        program = lock.PROGRAM
        assert told(call(1, version=2)) == (39, 7, f"Cannot find program {program} version 2")
        assert told(call(1, status=1)) == (39, 7, "Unexpected message status 1")
        assert told(call(1, status=-1)) == (39, 7, "Unexpected message status 4294967295")
        for kind in (1, 2, 3, 5, 6, 7, -1):
            assert check_answer(call(1, type=kind), daemon, session) == b""
        with pytest.raises(HangUpError, match="a call with descriptors"):
            check_answer(call(1, type=4), daemon, session)
        ping = call(1, program=0x6B656570, type=2)
        assert read_header(check_answer(ping, daemon, session)).procedure == 2
        assert check_answer(call(2, program=0x6B656570, type=2), daemon, session) == b""


def test_an_error_of_the_daemons_own(daemon: Daemon) -> None:
    """Ends one call, with an answer: the check of all other tests does see it."""

    def broken(*_: object) -> bytes:
        raise ZeroDivisionError

    session, theirs = connect(daemon.services["virtlockd"], daemon, 1)
    with theirs, pytest.raises(AssertionError):
        check_answer(call(1), daemon, session, {(lock.PROGRAM, lock.VERSION): {1: broken}})
