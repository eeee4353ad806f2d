"""libvirt's own parser of configuration files, called through ctypes: the tests' oracle.

libvirt.so.0 exports its virConf functions for its daemons. They are not a public interface; the
layout of ``struct _virConfValue`` is that of libvirt 9.0, and a library that laid it out in
another way would agree with nothing the tests compare.
"""

from __future__ import annotations

import ctypes
import re
from typing import TYPE_CHECKING, ClassVar, NamedTuple

if TYPE_CHECKING:
    from typing import Final, TypeAlias

    #: A list inside a list is a tuple inside a tuple.
    Value: TypeAlias = "bytes | int | tuple[Value, ...]"

_LLONG, _ULLONG, _STRING, _LIST = 1, 2, 3, 4


class Setting(NamedTuple):
    """One setting. ``signed`` tells an integer that libvirt holds as a signed one."""

    name: str
    value: Value
    signed: bool


class Accepted(NamedTuple):
    """What the text says: every setting in order, and the one of each name that is in force."""

    settings: list[Setting]
    in_force: dict[str, Value]


class Rejected(NamedTuple):
    """Where and why the text is refused."""

    line: int
    reason: str


class _ConfValue(ctypes.Structure):
    """libvirt's ``struct _virConfValue``."""

    type: int
    l: int  # noqa: E741
    str: bytes | None

    _fields_: ClassVar = [
        ("type", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("l", ctypes.c_longlong),
        ("str", ctypes.c_char_p),
        ("list", ctypes.c_void_p),
    ]
    next: int | None
    list: int | None


_WalkCallback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(_ConfValue), ctypes.c_void_p
)
_ErrorCallback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)

_MESSAGE: Final = re.compile(r"memory conf:(\d+): (.*)\Z", re.DOTALL)


class LibvirtParser:
    """The parser. Raises :class:`OSError` without libvirt."""

    def __init__(self) -> None:
        lib = ctypes.CDLL("libvirt.so.0")
        lib.virConfReadString.argtypes = (ctypes.c_char_p, ctypes.c_uint)
        lib.virConfReadString.restype = ctypes.c_void_p
        lib.virConfWalk.argtypes = (ctypes.c_void_p, _WalkCallback, ctypes.c_void_p)
        lib.virConfGetValue.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
        lib.virConfGetValue.restype = ctypes.c_void_p
        lib.virConfFree.argtypes = (ctypes.c_void_p,)
        lib.virGetLastErrorMessage.restype = ctypes.c_char_p
        lib.virSetErrorFunc.argtypes = (ctypes.c_void_p, _ErrorCallback)
        lib.virSetErrorFunc.restype = None
        if lib.virInitialize() < 0:
            raise OSError("libvirt cannot be initialized")
        # Without a function of ours libvirt writes every error to stderr. Both callbacks have
        # to live as long as the library may call them.
        self._on_error = _ErrorCallback(_ignore)
        lib.virSetErrorFunc(None, self._on_error)
        self._on_setting = _WalkCallback(self._add)
        self._settings: list[Setting] = []
        self._lib = lib

    def read(self, text: bytes) -> Accepted | Rejected:
        """What libvirt makes of ``text``, which holds no NUL byte."""
        assert b"\0" not in text
        conf: int | None = self._lib.virConfReadString(text, 0)
        if conf is None:
            return self._rejected()
        try:
            self._settings = []
            # It leaves out comments, which are entries without a name, and keeps duplicates.
            walked = self._lib.virConfWalk(conf, self._on_setting, None)
            assert walked == 0
            in_force = {
                setting.name: _value(
                    _at(self._lib.virConfGetValue(conf, setting.name.encode("ascii")))
                )
                for setting in self._settings
            }
            return Accepted(self._settings, in_force)
        finally:
            self._lib.virConfFree(conf)

    def _rejected(self) -> Rejected:
        message = (self._lib.virGetLastErrorMessage() or b"").decode()
        match = _MESSAGE.search(message)
        assert match, message
        return Rejected(int(match[1]), match[2])

    def _add(self, name: bytes, value: ctypes._Pointer[_ConfValue], _: object) -> int:
        held = value.contents
        self._settings.append(Setting(name.decode("ascii"), _value(held), held.type == _LLONG))
        return 0


def _ignore(_data: object, _error: object) -> None:
    pass


def _at(address: int) -> _ConfValue:
    return _ConfValue.from_address(address)


def _value(held: _ConfValue) -> Value:
    """A copy of a value that libvirt will free."""
    if held.type == _STRING:
        return held.str or b""
    if held.type == _LLONG:
        return held.l
    if held.type == _ULLONG:
        return held.l % 2**64
    assert held.type == _LIST, held.type
    elements: list[Value] = []
    at = held.list
    while at is not None:
        element = _at(at)
        elements.append(_value(element))
        at = element.next
    return tuple(elements)
