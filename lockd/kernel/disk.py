"""The real disk: what :class:`lockd.locks.outside.Disk` asks for, each from its own module."""

from __future__ import annotations

from lockd.kernel.filelock import (
    drop,
    hide,
    is_at,
    let_go,
    lock_again,
    renew,
    show,
    take,
    turn_into_own,
    turn_into_posix,
    unlock,
)
from lockd.kernel.named import (
    born_at,
    check_plain,
    create,
    exists,
    exists_at_all,
    identity_at,
    is_directory,
    make_directory,
    remove,
)
from lockd.kernel.note import wipe_note, write_note

__all__ = [
    "born_at",
    "check_plain",
    "create",
    "drop",
    "exists",
    "exists_at_all",
    "hide",
    "identity_at",
    "is_at",
    "is_directory",
    "let_go",
    "lock_again",
    "make_directory",
    "remove",
    "renew",
    "show",
    "take",
    "turn_into_own",
    "turn_into_posix",
    "unlock",
    "wipe_note",
    "write_note",
]
