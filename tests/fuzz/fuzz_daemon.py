"""Coverage-guided runs against bad input, by atheris.

``python -m tests.fuzz.fuzz_daemon WHAT DIRECTORY [LIBFUZZER_OPTION ...]`` has these:

``messages`` gives a daemon with all its real parts, but no loop, what a client may send. An input
that begins with an even byte is a stream as it is. In any other each call is a byte that says which
program, one for the procedure, one for the version, type and status, a length, and the arguments;
the header is made here, so that the procedures are reached at once.

``journal`` has a damaged journal read.

It runs as root in a mount namespace of its own (``unshare --mount``), where a small file system in
memory at DIRECTORY becomes its root: what it makes and removes, whatever the path, is in there. An
input that ends in anything but an answer, a hang-up or a JournalError ends the run, with a status
that is not 0; atheris prints it.
"""

from __future__ import annotations

# Some only because the daemon loads them when it needs them: from its new root it no longer could.
import codecs
import ctypes
import fnmatch
import os
import shutil
import subprocess
import sys
import syslog
import traceback
import uuid
from importlib import import_module
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import lockcfg.host.storage

try:
    import atheris
    import atheris.core_with_libfuzzer as loaded_later
except ModuleNotFoundError:  # it has no wheel for this Python
    from tests.fuzz import unguided as atheris

    loaded_later = atheris

with atheris.instrument_imports(include=["lockd"]):
    from lockd.programs import admin, inspect, lock
    from lockd.programs.admin import changes
    from lockd.rpc.dispatch import HangUpError
    from lockd.survival.journal import Journal, JournalError
    from lockd.wire.inbox import KEPT, Inbox
    from lockd.wire.message import CALL, Header, pack_message
    from lockd.wire.xdr import pack_string, pack_uint
    from tests.lockd.client import ACQUIRE, registration, resource
    from tests.lockd.rpc.daemon import check_answer, connect, make_daemon

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

_LATER: Final = (
    *(import_module(f"{changes.__name__}.{file}") for file in set(changes.SETTINGS.values())),
    *(loaded_later, lockcfg.host.storage),
    *(ctypes, fnmatch, syslog, traceback, uuid, ElementTree),
    # What JSON may be in.
    *(codecs.lookup(f"utf-{bits}{order}") for bits in (16, 32) for order in ("", "-le", "-be")),
    codecs.lookup("utf-8-sig"),
)

#: In the new root: the lockspace, and the inputs to begin with.
SPACE: Final = "/s"
_SEEDS: Final = "/seeds"

#: What is there from the beginning, and stays.
_OURS: Final = {"/": {"proc", "dev", SPACE[1:], _SEEDS[1:]}, "/dev": {"null"}, SPACE: set[str]()}

_KEEPALIVE: Final = 0x6B656570
_PROGRAMS: Final = (lock.PROGRAM, admin.PROGRAM, inspect.PROGRAM, _KEEPALIVE)

_CALL: Final = Struct(">BBBH")


def stream(data: bytes) -> tuple[bytes, bool]:
    """What a client sends, from an input; and whether it is to the admin socket."""
    if not data:
        return b"", False
    to_admin = bool(data[0] & 2)
    if not data[0] & 1:
        return data[1:], to_admin
    sent, at = b"", 1
    while len(data) - at >= _CALL.size:
        which, procedure, odd, size = _CALL.unpack_from(data, at)
        at += _CALL.size
        # Of the odd byte, 0 is a call of version 1 with status ok.
        kind, version, status = odd & 7, 1 + (odd >> 3 & 3), odd >> 5
        header = Header(0, _PROGRAMS[which & 3], version, procedure & 31, kind, at, status)
        sent += pack_message(header, data[at : at + size])
        at += size
    return sent, to_admin


def message_seeds() -> list[bytes]:
    """Every procedure, also with arguments that are right, and the same as streams."""

    def call(which: int, procedure: int, arguments: bytes = b"") -> bytes:
        return _CALL.pack(which, procedure, CALL, len(arguments)) + arguments

    register = call(0, 1, registration("guest", 5004242))
    acquire = call(0, ACQUIRE, resource(SPACE, "disk", 2))
    to_lock = [
        call(0, 2, pack_uint(0)),
        call(0, 3, pack_string("/other") + pack_uint(0)),
        *(call(0, number, resource(SPACE, "disk", 0)) for number in (4, 5, 6, 7)),
        call(0, ACQUIRE, resource("", "/disk", 2)),
        call(0, ACQUIRE, resource(SPACE, "disk", 3)),
        call(0, 8, pack_string("/more")),
        call(3, 1),
    ]
    found = [b"\1" + register + each + acquire + each for each in to_lock]
    server = pack_string("virtlockd")
    limit = pack_uint(1) + pack_string("nclients_max") + pack_uint(2) + pack_uint(5)
    to_admin = (
        pack_uint(0),
        server + pack_uint(0),
        server + bytes(7) + b"\1" + bytes(16),
        pack_uint(1) + pack_string("3:rpc") + pack_uint(0),
        server + limit + pack_uint(0),
    )
    for number in range(1, 20):
        found += [b"\3" + call(1, number, each) for each in to_admin]
    found += [b"\3" + call(2, number, pack_uint(0)) for number in (1, 2, 3)]
    return found + [bytes((each[0] & 2,)) + stream(each)[0] for each in found]


def fuzz_messages() -> Callable[[bytes], None]:
    """What takes an input of ``messages``. The daemon is the same for all inputs; each has a
    client of its own, and leaves no lock behind."""
    nowhere = "1:file:/dev/null"
    daemon = make_daemon(nowhere)
    outputs = daemon.logging.outputs
    known = {*daemon.engine.table.spaces, SPACE}

    def take(data: bytes) -> None:
        sent, to_admin = stream(data)
        service = daemon.services["admin" if to_admin else "virtlockd"]
        session, theirs = connect(service, daemon, 1)
        daemon.engine.create_lockspace(SPACE)
        inbox = Inbox()
        # In two pieces, cut where the input says.
        cut = data[-1] * 4 % (len(sent) + 1) if data else 0
        try:
            for piece in (sent[:cut], sent[cut:]):
                for message in inbox.feed(piece):
                    check_answer(message, daemon, session)
                assert len(inbox.state[0]) <= KEPT
                if inbox.broken:
                    break
        except HangUpError:
            pass
        service.hang_up(session)
        theirs.close()
        daemon.engine.release_everything()
        daemon.look()
        assert daemon.engine.table.is_empty
        assert not any(daemon.engine.table.open_resources())
        # Or each would take longer than the one before it, until there is no room for a file.
        for directory in daemon.engine.table.spaces.keys() - known:
            del daemon.engine.table.spaces[directory]
        remove_what_was_made()
        # An input may send the log elsewhere; all that follow would be told of there.
        if daemon.logging.outputs != outputs:
            daemon.logging.set_outputs(nowhere)

    return take


def remove_what_was_made() -> None:
    """Have the new root as it was."""
    for above, ours in _OURS.items():
        for name in {*os.listdir(above)} - ours:
            path = os.path.join(above, name)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)


def fuzz_journal() -> Callable[[bytes], None]:
    """What takes an input of ``journal``. Its first byte says whether the end is cut off, whether
    the length is true, and else the next two are the length."""

    def take(data: bytes) -> None:
        how, said, records = data[:1], data[1:3], data[3:]
        size = int.from_bytes(said, "little") if how == b"\1" else len(records)
        page = os.sysconf("SC_PAGESIZE")
        content = bytes(8) + size.to_bytes(8, sys.byteorder) + bytes(page - 16) + records
        fd = os.memfd_create("journal")
        try:
            os.pwrite(fd, content[:-size] if how == b"\2" and size else content, 0)
            journal = Journal(os.dup(fd))
            try:
                for block in journal.read():
                    assert block
            finally:
                journal.close()
        except JournalError:
            pass
        finally:
            os.close(fd)

    return take


def journal_seeds() -> list[bytes]:
    """A journal as it is, and with a length that is none of it."""
    records = b'["format",1]\n["space","/s"]\n'
    return [
        b"\0\0\0" + records,
        b"\1\7\0" + records,
        b"\2\0\0" + records,
        b"\0\0\0[1]\n",
        b"\0\0\0007\n",
    ]


def enter_new_root(directory: str) -> None:
    """Have a root that nothing of value is in, for as long as the namespace is there."""
    options = "size=64m,nr_inodes=20000"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "fuzz", directory], check=True)
    for name in ("proc", "dev"):
        Path(directory, name).mkdir()
    proc, null = Path(directory, "proc"), Path(directory, "dev/null")
    subprocess.run(["mount", "--bind", "/proc", proc], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", proc], check=True)
    null.touch()
    subprocess.run(["mount", "--bind", "/dev/null", null], check=True)
    codecs.lookup("ascii")  # Python cannot be read there, and imports codecs when it meets them
    os.chroot(directory)
    os.chdir("/")
    os.mkdir(_SEEDS)
    os.mkdir(SPACE)


#: What takes the inputs, and those to begin with.
_RUNS: Final = {
    "messages": (fuzz_messages, message_seeds),
    "journal": (fuzz_journal, journal_seeds),
}


def main(what: str, directory: str, *options: str) -> None:
    """Run."""
    make, seeds = _RUNS[what]
    enter_new_root(directory)
    for number, seed in enumerate(seeds()):
        Path(_SEEDS, str(number)).write_bytes(seed)
    atheris.Setup([sys.argv[0], *options, _SEEDS], make())
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
