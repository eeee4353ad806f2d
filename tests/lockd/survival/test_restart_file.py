"""What virtlockd leaves is input: it is read whole or refused."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockd.survival import restart_file
from lockd.survival.restart_file import RestartFileError

#: As virtlockd 9.0.0 writes it.
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
        ("version", 2, "unknown members: 'version'"),
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
