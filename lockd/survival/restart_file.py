"""The file in which virtlockd leaves its state for the next program in its process; virtlockd also
reads it. Pure: text in, state out, and back.

At SIGUSR1 virtlockd writes the file and executes the program at its own ``argv[0]``, with all
descriptors open. The file describes them. Its ``magic`` is the pid of the process: no other process
can continue from it.

A file with anything unknown about locks is refused, because lockd cannot take over what it does not
understand. Of virtlockd's sockets only the descriptors matter.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, Final

#: The largest file that is read, in bytes: some hundred thousand locks.
MAX_SIZE: Final = 64 * 1024 * 1024

#: The flags of a resource.
SHARED: Final = 1
AUTOCREATE: Final = 2

#: The servers that virtlockd has, the one for locks first.
SERVERS: Final = ("virtlockd", "admin")

#: No string in it may be longer, in characters: the protocol's limit.
_MAX_STRING: Final = 65536
_MAX_UINT: Final = 0xFFFFFFFF
_MAX_FD: Final = 0x7FFFFFFF


class RestartFileError(Exception):
    """The file is none that can be taken over; the text says why."""


class HeldResource:
    """A resource: ``fd`` is the descriptor of its file, ``owners`` has a pid for each
    acquisition."""

    __slots__ = ("fd", "flags", "is_held", "name", "owners", "path")

    def __init__(
        self, name: str, path: str, fd: int, flags: int, owners: Sequence[int], *, is_held: bool
    ) -> None:
        self.name: Final = name
        self.path: Final = path
        self.fd: Final = fd
        self.flags: Final = flags
        self.owners: Final = owners
        self.is_held: Final = is_held


class ConnectedClient:
    """A connection. ``since`` is in seconds since the epoch. ``owner`` is the owner that it
    registered as (name, uuid, id, pid), None if it did not."""

    __slots__ = ("fd", "id", "owner", "restricted", "since")

    def __init__(
        self,
        id: int,
        fd: int,
        since: int,
        owner: tuple[str, bytes, int, int] | None,
        *,
        restricted: bool,
    ) -> None:
        self.id: Final = id
        self.fd: Final = fd
        self.since: Final = since
        self.owner: Final = owner
        self.restricted: Final = restricted


class Server:
    """A server: ``listening`` are the descriptors of its sockets, ``next_id`` is the id of the
    client that comes next."""

    __slots__ = ("clients", "listening", "max_anonymous_clients", "max_clients", "next_id")

    def __init__(
        self,
        listening: Sequence[int],
        clients: Sequence[ConnectedClient],
        *,
        max_clients: int,
        max_anonymous_clients: int,
        next_id: int,
    ) -> None:
        self.listening: Final = listening
        self.clients: Final = clients
        self.max_clients: Final = max_clients
        self.max_anonymous_clients: Final = max_anonymous_clients
        self.next_id: Final = next_id


class State:
    """All of it. ``servers`` are by name, the resources by lockspace: its directory, or ``""``."""

    __slots__ = ("pid", "servers", "spaces")

    def __init__(
        self,
        pid: int,
        servers: Mapping[str, Server],
        spaces: Mapping[str, Sequence[HeldResource]],
    ) -> None:
        self.pid: Final = pid
        self.servers: Final = servers
        self.spaces: Final = spaces

    def descriptors(self) -> Iterable[int]:
        """All descriptors that it names."""
        for server in self.servers.values():
            yield from server.listening
            yield from (client.fd for client in server.clients)
        for resources in self.spaces.values():
            yield from (resource.fd for resource in resources)

    def guest(self, pid: int) -> tuple[str, bytes, int, int] | None:
        """The owner with that pid, by a connection of its own that it still has; else None."""
        for client in self.servers[SERVERS[0]].clients:
            if client.owner is not None and client.owner[3] == pid:
                return client.owner
        return None


# --- reading


def read(data: bytes) -> State:
    """The state in a file. Raises :class:`RestartFileError`."""
    if len(data) > MAX_SIZE:
        raise RestartFileError(f"it has more than {MAX_SIZE} bytes")
    try:
        found: Any = json.loads(data.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise RestartFileError(f"it is not JSON: {error}") from error
    top = _object(found, "it", {"magic", "daemon", "defaultLockspace", "lockspaces"})
    magic = _string(top, "magic", "it")
    if not magic.isascii() or not magic.isdecimal() or len(magic) > len(str(_MAX_FD)):
        raise RestartFileError("its magic is not a pid")
    servers = _servers(top)
    default = _object(_of(top, "defaultLockspace", "it"), "defaultLockspace", {"resources"})
    spaces = {"": _resources(default, "defaultLockspace")}
    for number, each in enumerate(_list(top, "lockspaces", "it")):
        where = f"lockspaces[{number}]"
        space = _object(each, where, {"directory", "resources"})
        directory = _string(space, "directory", where)
        if not directory.startswith("/") or directory in spaces:
            raise RestartFileError(
                f"{where}.directory is not a directory of its own: {directory!r}"
            )
        spaces[directory] = _resources(space, where)
    state = State(int(magic), servers, spaces)
    descriptors = [*state.descriptors()]
    if len({*descriptors}) != len(descriptors):
        raise RestartFileError("it names a descriptor twice")
    return state


def _servers(top: dict[str, Any]) -> dict[str, Server]:
    daemon = _object(_of(top, "daemon", "it"), "daemon", {"servers"})
    found = _object(_of(daemon, "servers", "daemon"), "daemon.servers", {*SERVERS})
    if SERVERS[0] not in found:
        raise RestartFileError(f"it has no server '{SERVERS[0]}'")
    return {name: _server(_object(server, name), name) for name, server in found.items()}


def _server(server: dict[str, Any], where: str) -> Server:
    listening = [
        _fd(_object(sock, where), where)
        for service in _list(server, "services", where)
        for sock in _list(_object(service, where), "socks", where)
    ]
    # Releases before 3.0.0 do not count clients.
    next_id = _integer(server, "next_client_id", where) if "next_client_id" in server else 1
    clients = []
    for number, each in enumerate(_list(server, "clients", where)):
        at = f"{where}.clients[{number}]"
        clients.append(_client(_object(each, at), at, where == SERVERS[0]))
    return Server(
        listening,
        clients,
        max_clients=_integer(server, "max_clients", where),
        max_anonymous_clients=(
            _integer(server, "max_anonymous_clients", where)
            if "max_anonymous_clients" in server
            else 0
        ),
        next_id=next_id,
    )


def _client(client: dict[str, Any], where: str, of_locks: bool) -> ConnectedClient:
    owner = None
    restricted = False
    if of_locks:
        private = _object(
            _of(client, "privateData", where),
            f"{where}.privateData",
            {"restricted", "ownerPid", "ownerId", "ownerName", "ownerUUID"},
        )
        restricted = _boolean(private, "restricted", where)
        number = _integer(private, "ownerId", where)
        name = _string(private, "ownerName", where) if "ownerName" in private else ""
        pid = _integer(private, "ownerPid", where)
        try:
            import uuid

            who = uuid.UUID(_string(private, "ownerUUID", where)).bytes
        except ValueError as error:
            raise RestartFileError(f"{where}.ownerUUID is not a UUID") from error
        # Who has registered has an id: REGISTER refuses 0.
        owner = (name, who, number, pid) if number else None
    return ConnectedClient(
        _integer(client, "id", where) if "id" in client else 0,
        _fd(_object(_of(client, "sock", where), where), where),
        _integer(client, "conn_time", where, 1 << 62) if "conn_time" in client else 0,
        owner,
        restricted=restricted,
    )


def _resources(space: dict[str, Any], where: str) -> list[HeldResource]:
    found: dict[str, HeldResource] = {}
    for number, each in enumerate(_list(space, "resources", where)):
        at = f"{where}.resources[{number}]"
        resource = _object(each, at, {"name", "path", "fd", "lockHeld", "flags", "owners"})
        name = _string(resource, "name", at)
        if name in found:
            raise RestartFileError(f"{at}: '{name}' is there twice")
        flags = _integer(resource, "flags", at)
        if flags & ~(SHARED | AUTOCREATE):
            raise RestartFileError(f"{at} has unknown flags: {flags}")
        owners = _list(resource, "owners", at)
        if not all(type(pid) is int and 0 <= pid <= _MAX_UINT for pid in owners):
            raise RestartFileError(f"{at}.owners has a value that is not a pid")
        path = _string(resource, "path", at)
        if not path.startswith("/"):
            raise RestartFileError(f"{at}.path is not a whole path: {path!r}")
        found[name] = HeldResource(
            name,
            path,
            _fd(resource, at),
            flags,
            owners,
            is_held=_boolean(resource, "lockHeld", at),
        )
    return [*found.values()]


def _object(value: Any, where: str, keys: set[str] | None = None) -> dict[str, Any]:
    """``value``, which has to be an object, with no other keys than those."""
    if not isinstance(value, dict):
        raise RestartFileError(f"{where} is not an object")
    unknown = set() if keys is None else value.keys() - keys
    if unknown:
        raise RestartFileError(f"{where} has unknown members: {', '.join(sorted(unknown))[:100]!r}")
    return value


def _of(value: dict[str, Any], key: str, where: str) -> Any:
    if key not in value:
        raise RestartFileError(f"{where} has no {key}")
    return value[key]


def _list(value: dict[str, Any], key: str, where: str) -> list[Any]:
    found = _of(value, key, where)
    if not isinstance(found, list):
        raise RestartFileError(f"{where}.{key} is not a list")
    return found


def _string(value: dict[str, Any], key: str, where: str) -> str:
    found = _of(value, key, where)
    if not isinstance(found, str) or len(found) > _MAX_STRING or "\0" in found:
        raise RestartFileError(f"{where}.{key} is not a string")
    return found


def _boolean(value: dict[str, Any], key: str, where: str) -> bool:
    found = _of(value, key, where)
    if not isinstance(found, bool):
        raise RestartFileError(f"{where}.{key} is neither true nor false")
    return found


def _integer(value: dict[str, Any], key: str, where: str, most: int = _MAX_UINT) -> int:
    found = _of(value, key, where)
    if type(found) is not int or not 0 <= found <= most:
        raise RestartFileError(f"{where}.{key} is not a number from 0 to {most}")
    return found


def _fd(value: dict[str, Any], where: str) -> int:
    fd = _integer(value, "fd", where, _MAX_FD)
    if fd < 3:
        raise RestartFileError(f"{where}.fd is not a descriptor of its own: {fd}")
    return fd


# --- writing


def write(state: State) -> bytes:
    """The file, as virtlockd writes it itself."""
    document = {
        "daemon": {"servers": _servers_out(state)},
        "defaultLockspace": {"resources": [*map(_resource_out, state.spaces.get("", ()))]},
        "lockspaces": [
            {"directory": directory, "resources": [*map(_resource_out, resources)]}
            for directory, resources in state.spaces.items()
            if directory
        ],
        "magic": str(state.pid),
    }
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "surrogateescape")


def _servers_out(state: State) -> dict[str, Any]:
    return {name: _server_out(each, name == SERVERS[0]) for name, each in state.servers.items()}


def _server_out(server: Server, of_locks: bool) -> dict[str, Any]:
    return {
        "min_workers": 0,
        "max_workers": 0,
        "priority_workers": 0,
        "max_clients": server.max_clients,
        "max_anonymous_clients": server.max_anonymous_clients,
        "keepaliveInterval": _MAX_UINT,
        "keepaliveCount": 0,
        "next_client_id": server.next_id,
        "services": [
            {
                "auth": 0,
                "readonly": False,
                "nrequests_client_max": 1,
                "socks": [_sock_out(fd, is_client=False) for fd in server.listening],
            }
        ],
        "clients": [_client_out(client, of_locks) for client in server.clients],
    }


def _client_out(client: ConnectedClient, of_locks: bool) -> dict[str, Any]:
    import uuid

    name, who, number, pid = client.owner or ("", bytes(16), 0, 0)
    private = {
        "restricted": client.restricted,
        "ownerPid": pid,
        "ownerId": number,
        **({"ownerName": name} if client.owner is not None else {}),
        "ownerUUID": str(uuid.UUID(bytes=who)),
    }
    return {
        "id": client.id,
        "auth": 0,
        "auth_pending": False,
        "readonly": False,
        "nrequests_max": 1,
        "conn_time": client.since,
        "sock": _sock_out(client.fd, is_client=True),
        # The member is required, and it is empty for a client of the admin server.
        "privateData": private if of_locks else {},
    }


def _sock_out(fd: int, *, is_client: bool) -> dict[str, Any]:
    return {
        "fd": fd,
        "errfd": -1,
        "pid": 0,
        "isClient": is_client,
        "unlinkUNIX": not is_client,
    }


def _resource_out(resource: HeldResource) -> dict[str, Any]:
    return {
        "name": resource.name,
        "path": resource.path,
        "fd": resource.fd,
        "lockHeld": resource.is_held,
        "flags": resource.flags,
        "owners": [*resource.owners],
    }
