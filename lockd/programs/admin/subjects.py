"""The subjects of the admin program's calls: services and their clients.

libvirt has two messages for a missing service or client: calls for the facts of a client, and calls
that set parameters, have one of their own.
"""

from __future__ import annotations

from lockd.wire.fault import (
    FROM_ADMIN,
    FROM_NONE,
    FROM_RPC,
    INVALID_ARG,
    NO_CLIENT,
    NO_SERVER,
    SYSTEM_ERROR,
    Fault,
    fault,
    unsupported_flags,
)
from lockd.wire.parameters import (
    MAX_STRING,
    check_names,
    read_parameters,
    unsigned_values,
)
from lockd.wire.xdr import pack_hyper, pack_string, pack_uhyper, pack_uint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from lockd.log import LogError
    from lockd.programs.admin.context import AdminContext
    from lockd.rpc.service import Service
    from lockd.rpc.session import Session
    from lockd.wire.dialect import Dialect
    from lockd.wire.xdr import Reader

#: How a client is connected: by a socket of this host.
_UNIX: Final = 0


def check_flags(flags: int, function: str) -> None:
    """Refuse all flags; ``function`` is libvirt's, which would. Raises Fault."""
    if flags:
        raise unsupported_flags(flags, function, FROM_ADMIN)


def find_service(context: AdminContext, name: str, *, own_words: bool = False) -> Service:
    """A service. Raises Fault."""
    service = context.services.get(name)
    if service is not None:
        return service
    if own_words:
        raise fault(NO_SERVER, FROM_ADMIN, f"no server with matching name '{name}' found")
    raise fault(NO_SERVER, FROM_RPC, f"No server named '{name}'")


def find_client(service: Service, number: int, *, own_words: bool = False) -> Session:
    """A client of a service, by its id. Raises Fault."""
    client = service.client(number)
    if client is not None:
        return client
    if own_words:
        raise fault(NO_CLIENT, FROM_ADMIN, f"no client with matching id '{number}' found")
    raise fault(NO_CLIENT, FROM_RPC, f"No client with matching ID '{number}'")


def read_client(arguments: Reader) -> tuple[str, int]:
    """The service and the id of the client that a call is about; the other fields are ignored.
    Raises DecodeError."""
    name, number = arguments.string(MAX_STRING), arguments.uhyper()
    arguments.hyper()
    arguments.uint()
    return name, number


def read_settings(
    context: AdminContext, arguments: Reader, known: Sequence[str], function: str
) -> tuple[Service, dict[str, int]]:
    """The service that a call is about, and the ``known`` settings that it is to get by it;
    ``function`` is libvirt's. Raises DecodeError, Fault."""
    name = arguments.string(MAX_STRING)
    parameters = read_parameters(arguments)
    flags = arguments.uint()
    service = find_service(context, name, own_words=True)
    check_names(parameters)
    check_flags(flags, function)
    return service, unsigned_values(parameters, known, context.dialect)


def pack_client(client: Session) -> bytes:
    """A client: its service, its id, when it connected, and how."""
    return b"".join(
        (
            pack_string(client.service),
            pack_uhyper(client.id),
            pack_hyper(int(client.since)),
            pack_uint(_UNIX),
        )
    )


def bad_log_setting(error: LogError, dialect: Dialect) -> Fault:
    """The error for a log setting that cannot be used."""
    text = str(error)
    if not dialect.outputs_of_the_log:
        # What the client has sent is in no such words: there is no space in it.
        text = text.replace("Log output ", "Output ").replace("log output ", "output ")
        text = text.replace("log priority ", "priority ").replace(
            "log destination ", "destination "
        )
    if not error.number:
        return fault(INVALID_ARG, FROM_NONE, text)
    return Fault(SYSTEM_ERROR, FROM_NONE, text, ("%s", text), (error.number, -1))
