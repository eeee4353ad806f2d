"""The kinds of configuration file: one line here for each."""

from __future__ import annotations

import os

from lockcfg.errors import UsageError
from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, Literal

    Driver = Literal["qemu", "libxl"]
    #: driver: libvirt's driver itself. lockd, sanlock: its plugins. daemon: the lock daemon.
    #: engine: lockd's own settings, which virtlockd does not have. sanlock-daemon: the daemon of
    #: sanlock, whose file has a grammar of its own.
    Role = Literal["driver", "lockd", "sanlock", "daemon", "engine", "sanlock-daemon"]
    Grammar = Literal["libvirt", "sanlock"]

DRIVERS: Final[tuple[Driver, ...]] = ("qemu", "libxl")


class FileKind(Frozen):
    """One kind of configuration file.

    ``name`` is its base name, ``lens`` the Augeas lens that reads it, ``mode`` the permission
    bits of a new one (as Debian's package ships it), ``readers`` the daemons that read it, at
    their start only.
    """

    __slots__ = ("drivers", "lens", "mode", "name", "readers", "role")

    def __init__(
        self,
        name: str,
        lens: str,
        role: Role,
        drivers: tuple[Driver, ...],
        mode: int,
        readers: tuple[str, ...],
    ) -> None:
        self.name: Final = name
        self.lens: Final = lens
        self.role: Final = role
        self.drivers: Final = drivers
        self.mode: Final = mode
        self.readers: Final = readers

    @property
    def grammar(self) -> Grammar:
        """The parser that reads it: libvirt's, or the sanlock daemon's."""
        return "sanlock" if self.role == "sanlock-daemon" else "libvirt"

    def __hash__(self) -> int:
        return hash(self.name)  # kinds are keys in inner loops

    @property
    def program(self) -> str:
        """The program that the file belongs to, as messages call it."""
        return "lockd" if self.role == "engine" else self.grammar

    def __reduce__(self) -> tuple[Callable[[str], FileKind], tuple[str]]:
        return kind_named, (self.name,)  # one object in every process


#: The daemons: monolithic libvirtd, or the modular daemon of the driver.
_QEMU_READERS = ("libvirtd", "virtqemud")
_LIBXL_READERS = ("libvirtd", "virtxend")

QEMU: Final = FileKind("qemu.conf", "Lockcfg_qemu.lns", "driver", ("qemu",), 0o600, _QEMU_READERS)
LIBXL: Final = FileKind(
    "libxl.conf", "Lockcfg_libxl.lns", "driver", ("libxl",), 0o644, _LIBXL_READERS
)
QEMU_LOCKD: Final = FileKind(
    "qemu-lockd.conf", "Lockcfg_qemu_lockd.lns", "lockd", ("qemu",), 0o644, _QEMU_READERS
)
LIBXL_LOCKD: Final = FileKind(
    "libxl-lockd.conf", "Lockcfg_libxl_lockd.lns", "lockd", ("libxl",), 0o644, _LIBXL_READERS
)
VIRTLOCKD: Final = FileKind(
    "virtlockd.conf", "Lockcfg_virtlockd.lns", "daemon", DRIVERS, 0o644, ("virtlockd",)
)

QEMU_SANLOCK: Final = FileKind(
    "qemu-sanlock.conf", "Lockcfg_qemu_sanlock.lns", "sanlock", ("qemu",), 0o644, _QEMU_READERS
)
LIBXL_SANLOCK: Final = FileKind(
    "libxl-sanlock.conf", "Lockcfg_libxl_sanlock.lns", "sanlock", ("libxl",), 0o644, _LIBXL_READERS
)

#: lockd's own file. It is not one of libvirt's, and not in :data:`KINDS`.
LOCKD: Final = FileKind("lockd.conf", "Lockcfg_lockd.lns", "engine", DRIVERS, 0o644, ("lockd",))

#: The daemon's own file, in /etc/sanlock.
SANLOCK: Final = FileKind(
    "sanlock.conf", "Lockcfg_sanlock.lns", "sanlock-daemon", DRIVERS, 0o644, ("sanlock",)
)

#: Every kind of libvirt's, by base name. The order is that of a search for a key: small files
#: first, and last those of sanlock, which have settings of the same names as others.
KINDS: Final[dict[str, FileKind]] = {
    kind.name: kind
    for kind in (QEMU_LOCKD, LIBXL_LOCKD, VIRTLOCKD, LIBXL, QEMU, QEMU_SANLOCK, LIBXL_SANLOCK)
}

#: Every kind that is read and checked. lockcfg does not edit sanlock's own file.
READ: Final[dict[str, FileKind]] = {**KINDS, SANLOCK.name: SANLOCK}


def kinds_of(driver: Driver) -> tuple[FileKind, ...]:
    """The kinds that decide the locking of ``driver``'s guests, in the order of a search."""
    return tuple(kind for kind in KINDS.values() if driver in kind.drivers)


def kind_named(path: str | os.PathLike[str]) -> FileKind:
    """The kind of the file at ``path``, told by its base name.

    Raises :class:`UsageError` for a name that is neither one of :data:`READ` nor :data:`LOCKD`'s.
    """
    name = os.path.basename(os.fspath(path))
    if name == LOCKD.name:
        return LOCKD
    try:
        return READ[name]
    except KeyError:
        raise UsageError(
            f"cannot tell what kind of file '{os.fspath(path)}' is",
            help=f"its name should be one of {', '.join(sorted(READ))}; or say with --as",
        ) from None
