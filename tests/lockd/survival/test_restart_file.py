"""What virtlockd leaves is input: it is read whole or refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockd.survival import restart_file
from lockd.survival.restart_file import RestartFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What virtlockd 9.0.0 left, with a client of its administration and a guest that has two locks.
LEFT = (Path(__file__).parent / "virtlockd-restart-exec.json").read_text("ascii")

#: The same in short.
FILE: dict[str, Any] = {
    "daemon": {
        "servers": {
            "admin": {
                "max_clients": 5000,
                "max_anonymous_clients": 5000,
                "next_client_id": 1,
                "services": [{"auth": 0, "socks": [{"fd": 5, "isClient": False}]}],
                "clients": [],
            },
            "virtlockd": {
                "max_clients": 1024,
                "max_anonymous_clients": 1024,
                "next_client_id": 2,
                "services": [{"auth": 0, "socks": [{"fd": 4, "isClient": False}]}],
                "clients": [
                    {
                        "id": 1,
                        "conn_time": 1795977259,
                        "sock": {"fd": 9, "isClient": True},
                        "privateData": {
                            "restricted": False,
                            "ownerPid": 14848,
                            "ownerId": 1,
                            "ownerName": "web",
                            "ownerUUID": "00000000-0000-4000-8000-000000000001",
                        },
                    }
                ],
            },
        }
    },
    "defaultLockspace": {
        "resources": [
            {
                "name": "/srv/disk",
                "path": "/srv/disk",
                "fd": 12,
                "lockHeld": True,
                "flags": 1,
                "owners": [14848, 14848],
            }
        ]
    },
    "lockspaces": [{"directory": "/srv/locks", "resources": []}],
    "magic": "14846",
}


def changed(path: str, value: object) -> bytes:
    """The file with another value at a path, or with none if that is ``...``."""
    document = copy.deepcopy(FILE)
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    at: Any = document
    for part in way:
        at = at[part]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return json.dumps(document).encode()


def test_it_is_read() -> None:
    state = restart_file.read(json.dumps(FILE).encode())
    assert state.pid == 14846
    (disk,) = state.spaces[""]
    assert (disk.fd, disk.flags, disk.owners) == (12, restart_file.SHARED, [14848, 14848])
    assert state.spaces["/srv/locks"] == []
    assert state.guest(14848) is not None
    assert state.guest(1) is None
    assert sorted(state.descriptors()) == [4, 5, 9, 12]
    assert restart_file.read(restart_file.write(state)).spaces.keys() == state.spaces.keys()


RESOURCE = "defaultLockspace.resources.0"
CLIENT = "daemon.servers.virtlockd.clients.0"


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("magic", 14846, "magic is not a string"),
        ("magic", "me", "magic is not a pid"),
        ("version", 2, "^it has unknown members: 'version'"),
        ("lockspaces", ..., "has no lockspaces"),
        ("lockspaces.0.directory", "locks", "not a directory"),
        ("lockspaces.0.held", True, "unknown members: 'held'"),
        ("daemon.servers.other", {}, "unknown members: 'other'"),
        ("daemon.servers.virtlockd", ..., "has no server"),
        (f"{RESOURCE}.flags", 4, "unknown flags: 4"),
        (f"{RESOURCE}.fd", 9, "names a descriptor twice"),
        (f"{RESOURCE}.fd", 2, "not a descriptor of its own: 2"),
        (f"{RESOURCE}.fd", -1, "not a number"),
        (f"{RESOURCE}.fd", True, "not a number"),
        (f"{RESOURCE}.path", "disk", "not a whole path"),
        (f"{RESOURCE}.owners", [1, "2"], "not a pid"),
        (f"{RESOURCE}.owners", {}, "not a list"),
        (f"{RESOURCE}.lockHeld", 1, "neither true nor false"),
        (f"{RESOURCE}.name", "a\0b", "not a string"),
        (f"{RESOURCE}.lease", 1, "unknown members: 'lease'"),
        (f"{CLIENT}.privateData.ownerUUID", "x", "not a UUID"),
        (f"{CLIENT}.privateData.role", "x", "unknown members: 'role'"),
        (f"{CLIENT}.sock", ..., "has no sock"),
    ],
)
def test_what_is_not_understood_is_refused(path: str, value: object, says: str) -> None:
    with pytest.raises(RestartFileError, match=says):
        restart_file.read(changed(path, value))


def places(value: Any, path: str = "", where: str = "it") -> Iterator[tuple[str, str]]:
    """The path of each value in the file, and what the reader calls the object or list that it is
    in."""
    of_it = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in ((str(key), each) for key, each in of_it):
        at = f"{path}.{key}".lstrip(".")
        yield at, where
        if not isinstance(each, (dict, list)) or key == "owners":
            continue
        inner = where
        if key in ("daemon", "defaultLockspace"):
            inner = key
        elif key == "servers":
            inner = "daemon.servers"
        elif where == "daemon.servers":
            inner = key
        elif key in ("clients", "resources", "lockspaces"):
            inner = f"{where}.{key}".removeprefix("it.")
        elif path.endswith(("clients", "resources", "lockspaces")):
            inner = f"{where}[{key}]"
        yield from places(each, at, inner)


#: What an older release leaves out, and what no release reads.
OPTIONAL = {"next_client_id", "max_anonymous_clients", "ownerName", "id", "conn_time", "admin"}
UNREAD = {"auth", "isClient"}


@pytest.mark.parametrize(("path", "where"), [*places(FILE)])
def test_every_value_is_looked_at(path: str, where: str) -> None:
    """One that is missing, or of another type, is refused, and the text says where it is."""
    key = path.rpartition(".")[2]
    if key in UNREAD:
        restart_file.read(changed(path, ...))
        return
    with pytest.raises(RestartFileError) as caught:
        restart_file.read(changed(path, None))
    assert str(caught.value).startswith((where, f"{where}[{key}]", f"{where}.{key}", key))
    if key in OPTIONAL:
        restart_file.read(changed(path, ...))
    elif not key.isdigit():
        with pytest.raises(RestartFileError) as caught:
            restart_file.read(changed(path, ...))
        assert str(caught.value) in (f"{where} has no {key}", f"it has no server '{key}'")


@pytest.mark.parametrize(
    "path", ["daemon", "daemon.servers", "defaultLockspace", RESOURCE, f"{CLIENT}.privateData"]
)
def test_no_object_has_a_member_that_is_unknown(path: str) -> None:
    with pytest.raises(RestartFileError, match=r"unknown members: 'more'"):
        restart_file.read(changed(f"{path}.more", 1))


def test_what_older_releases_leave_out_has_a_value() -> None:
    document = copy.deepcopy(FILE)
    server = document["daemon"]["servers"]["virtlockd"]
    (client,) = server["clients"]
    for name in ("next_client_id", "max_anonymous_clients"):
        del server[name]
    for name in ("id", "conn_time"):
        del client[name]
    del client["privateData"]["ownerName"]
    read = restart_file.read(json.dumps(document).encode()).servers["virtlockd"]
    assert (read.next_id, read.max_anonymous_clients, read.max_clients) == (1, 0, 1024)
    assert (read.clients[0].id, read.clients[0].since) == (0, 0)
    assert read.clients[0].owner is not None
    assert read.clients[0].owner[0] == ""


def test_what_is_just_allowed_is_read() -> None:
    """The longest pid and file, the latest time, and a name in another encoding."""
    assert restart_file.read(changed("magic", "2147483647")).pid == 2147483647
    text = json.dumps(FILE).encode()
    assert restart_file.read(text + b" " * (restart_file.MAX_SIZE - len(text))).pid == 14846
    late = restart_file.read(changed(f"{CLIENT}.conn_time", 1 << 62))
    assert late.servers["virtlockd"].clients[0].since == 1 << 62
    state = restart_file.read(text.replace(b'"web"', b'"w\xe9b"'))
    assert b'"w\xe9b"' in restart_file.write(state)


def test_it_is_written_as_virtlockd_does() -> None:
    """To the byte, except for the space in an empty object."""
    state = restart_file.read(LEFT.encode())
    assert restart_file.write(state) == LEFT.replace("{\n\n            }", "{}").encode()
    (asker,) = state.servers["admin"].clients
    assert asker.owner is None
    assert asker.restricted is False


def test_a_client_that_has_not_registered() -> None:
    """virtlockd has no name for it, and zeros."""
    document = json.loads(LEFT)
    private = document["daemon"]["servers"]["virtlockd"]["clients"][0]["privateData"]
    private |= {"ownerId": 0, "ownerPid": 0, "ownerUUID": "00000000-0000-0000-0000-000000000000"}
    del private["ownerName"]
    state = restart_file.read(json.dumps(document).encode())
    (client,) = state.servers["virtlockd"].clients
    assert client.owner is None
    assert json.loads(restart_file.write(state)) == document


def test_without_a_default_lockspace_it_is_empty() -> None:
    state = restart_file.read(LEFT.encode())
    state = restart_file.State(state.pid, state.servers, {"/srv/locks": []})
    written = json.loads(restart_file.write(state))
    assert written["defaultLockspace"] == {"resources": []}
    assert written["lockspaces"] == [{"directory": "/srv/locks", "resources": []}]


@pytest.mark.parametrize(
    ("path", "most"),
    [
        (f"{RESOURCE}.owners.0", 0xFFFFFFFF),
        (f"{RESOURCE}.fd", 0x7FFFFFFF),
        (f"{CLIENT}.conn_time", 1 << 62),
        (f"{CLIENT}.privateData.ownerPid", 0xFFFFFFFF),
    ],
)
def test_the_edges_of_numbers(path: str, most: int) -> None:
    restart_file.read(changed(path, most))
    with pytest.raises(RestartFileError):
        restart_file.read(changed(path, most + 1))
    least = 3 if path.endswith(".fd") else 0
    restart_file.read(changed(path, least))
    with pytest.raises(RestartFileError):
        restart_file.read(changed(path, least - 1))


def test_the_edges_of_strings() -> None:
    longest = "/" + "x" * 65_535
    (disk,) = restart_file.read(changed(f"{RESOURCE}.name", longest)).spaces[""]
    assert disk.name == longest
    with pytest.raises(RestartFileError, match="not a string"):
        restart_file.read(changed(f"{RESOURCE}.name", longest + "x"))
    with pytest.raises(RestartFileError) as caught:
        restart_file.read(changed(f"daemon.{'y' * 300}", 1))
    assert str(caught.value) == f"daemon has unknown members: {'y' * 100!r}"


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["magic", "daemon", "servers", "lockspaces"]), inner),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(RestartFileError):
        restart_file.read(data)


def test_depth_and_size_are_bounded() -> None:
    with pytest.raises(RestartFileError, match="not JSON"):
        restart_file.read(b"[" * 1_000_000)
    with pytest.raises(RestartFileError, match="bytes"):
        restart_file.read(b" " * (restart_file.MAX_SIZE + 1))
