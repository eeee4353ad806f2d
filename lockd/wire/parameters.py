"""Typed parameters: values with a name and a type, in which the admin protocol passes settings and
facts."""

from __future__ import annotations

from lockd.wire.fault import (
    ARGUMENT_UNSUPPORTED,
    FROM_NONE,
    INTERNAL_ERROR,
    INVALID_ARG,
    fault,
)
from lockd.wire.record import Record
from lockd.wire.xdr import (
    DecodeError,
    Reader,
    pack_double,
    pack_hyper,
    pack_string,
    pack_uhyper,
    pack_uint,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import Any, Final

    from lockd.wire.dialect import Dialect

#: The longest string of the admin protocol, in bytes, and the most parameters in a call.
MAX_STRING: Final = 4194304
_MAX_PARAMETERS: Final = 32

#: From how many bytes on a name is too long.
_NAME_SIZE: Final = 80

# virTypedParameterType.
INT: Final = 1
UINT: Final = 2
LLONG: Final = 3
ULLONG: Final = 4
DOUBLE: Final = 5
BOOLEAN: Final = 6
STRING: Final = 7

_KINDS: Final = ("", "int", "uint", "llong", "ullong", "double", "boolean", "string")


class Parameter(Record):
    """A value with its type. ``kind`` is one of the numbers above."""

    name: str
    kind: int
    value: int | float | str


def read_parameters(arguments: Reader) -> list[Parameter]:
    """The parameters of a call. Raises DecodeError."""
    return arguments.array(lambda: _read(arguments), _MAX_PARAMETERS)


def _read(arguments: Reader) -> Parameter:
    name, kind = arguments.string(MAX_STRING), arguments.sint()
    if not INT <= kind <= STRING:
        raise DecodeError(f"{kind}, which is not a type of a parameter")
    return Parameter(name, kind, _READ[kind](arguments))


def pack_parameters(parameters: Sequence[Parameter]) -> bytes:
    """Parameters of a reply."""
    packed = [pack_uint(len(parameters))]
    for name, kind, value in parameters:
        packed += (pack_string(name), pack_uint(kind), _PACK[kind](value))
    return b"".join(packed)


def check_names(parameters: Sequence[Parameter]) -> None:
    """Refuse names that libvirt has no room for. Raises Fault."""
    for parameter in parameters:
        if len(_bytes(parameter)) >= _NAME_SIZE:
            raise fault(
                INTERNAL_ERROR,
                FROM_NONE,
                f"parameter {parameter.name} too big for destination",
            )


def unsigned_values(
    parameters: Sequence[Parameter], known: Collection[str], dialect: Dialect
) -> dict[str, Any]:
    """The values by name: of the ``known`` ones, which are all of type uint, and each at most
    once. Raises Fault, for the first by name that is anything else."""
    values: dict[str, Any] = {}
    for parameter in sorted(parameters, key=_bytes):
        name, kind, value = parameter
        if name not in known:
            raise fault(ARGUMENT_UNSUPPORTED, FROM_NONE, f"parameter '{name}' not supported")
        if name in values:
            raise fault(INVALID_ARG, FROM_NONE, f"parameter '{name}' occurs multiple times")
        if kind != UINT:
            raise fault(
                INVALID_ARG,
                FROM_NONE,
                dialect.wrong_type.format(has=_KINDS[kind], name=name, wanted=_KINDS[UINT]),
            )
        values[name] = value
    return values


def _bytes(parameter: Parameter) -> bytes:
    return parameter.name.encode("utf-8", "surrogateescape")


_READ: Final[dict[int, Callable[[Reader], int | float | str]]] = {
    INT: Reader.sint,
    UINT: Reader.uint,
    LLONG: Reader.hyper,
    ULLONG: Reader.uhyper,
    DOUBLE: Reader.double,
    BOOLEAN: Reader.sint,
    STRING: lambda arguments: arguments.string(MAX_STRING),
}

_PACK: Final[dict[int, Callable[[Any], bytes]]] = {
    INT: lambda value: pack_uint(value & 0xFFFFFFFF),
    UINT: pack_uint,
    LLONG: pack_hyper,
    ULLONG: pack_uhyper,
    DOUBLE: pack_double,
    BOOLEAN: pack_uint,
    STRING: pack_string,
}
