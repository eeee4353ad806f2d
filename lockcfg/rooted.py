"""Paths below a root directory, as the host sees them whose root it is.

Below ``--root DIR`` a symbolic link to ``/srv/qemu.conf`` leads to ``DIR/srv/qemu.conf``, and
``..`` never leads above DIR. The path is walked one name at a time, each looked up in the directory
that was opened before: a user who changes the tree in the meantime leads no program out of it. It
is what the kernel calls RESOLVE_IN_ROOT (openat2(2)), and the same on every kernel.
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: How many links one path may lead through, as with the kernel.
_MOST_LINKS: Final = 40

_DIRECTORY: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Spot:
    """Where a path leads: a name in an open directory, whether or not anything is there.

    ``directory`` is the descriptor of the directory (O_PATH), ``name`` the name in it, ``.`` where
    the path leads to the root itself. ``path`` is the path below the root without any link, and
    ``owners`` are the user ids whose links it led through. To be closed.
    """

    def __init__(self, root: str, path: str, *, follow: bool = True) -> None:
        """Walk to ``path``, absolute on the host; with ``follow`` through a link at its end as
        well. Raises OSError if a directory on the way is missing, is none or may not be
        entered, and for a loop."""
        self.owners: set[int] = set()
        self._names: list[str] = []
        self._open = [os.open(root, _DIRECTORY & ~os.O_NOFOLLOW)]
        try:
            self.name = self._walk(path, follow=follow)
        except OSError as error:
            self.close()
            error.filename = os.path.join(root, path.lstrip("/"))
            raise
        self.directory = self._open[-1]
        self.path = "/" + "/".join([*self._names, self.name] if self.name != "." else self._names)

    def _walk(self, path: str, *, follow: bool) -> str:
        pending = _names_in(path)
        links = 0
        while pending:
            name = pending.pop()
            if name == "..":
                if self._names:
                    self._names.pop()
                    os.close(self._open.pop())
                continue
            above = self._open[-1]
            try:
                status = os.stat(name, dir_fd=above, follow_symlinks=False)
            except FileNotFoundError:
                if pending:
                    raise
                return name
            if stat.S_ISLNK(status.st_mode) and (pending or follow):
                links += 1
                if links > _MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                self.owners.add(status.st_uid)
                target = os.readlink(name, dir_fd=above)
                if target.startswith("/"):
                    self._names.clear()
                    while len(self._open) > 1:
                        os.close(self._open.pop())
                pending += _names_in(target)
            elif pending:
                self._open.append(os.open(name, _DIRECTORY, dir_fd=above))
                self._names.append(name)
            else:
                return name
        return "."

    def open(self, flags: int, mode: int = 0o777) -> int:
        """Open the file; return the descriptor. Raises OSError, also for a link."""
        flags |= os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(self.name, flags, mode, dir_fd=self.directory)

    def status(self) -> os.stat_result:
        """The status of the file. Raises OSError."""
        return os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)

    def close(self) -> None:
        """Close the directories."""
        while self._open:
            os.close(self._open.pop())

    def __enter__(self) -> Spot:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _names_in(path: str) -> list[str]:
    """The names of a path, the last one first."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def below(root: str, path: str) -> str:
    """The absolute path on the host whose root is ``root`` of what is called ``path`` here."""
    if root == "/":
        return path if path.startswith("/") else os.path.join(os.getcwd(), path)
    return path[len(root.rstrip("/")) :] if path.startswith(root) else path


def open_in(root: str, path: str, flags: int) -> int:
    """A descriptor of the file at ``path``, absolute on the host whose root is ``root``. Raises
    OSError."""
    with Spot(root, path) as spot:
        return spot.open(flags)


def real_path(root: str, path: str) -> str:
    """The path here of what ``path`` leads to on the host, as far as that is there."""
    if root == "/":
        return os.path.realpath(path)
    try:
        with Spot(root, path) as spot:
            return os.path.join(root, spot.path[1:])
    except OSError:
        above, name = os.path.split(path.rstrip("/"))
        if not name:
            return os.path.join(root, path.lstrip("/"))
        return os.path.join(real_path(root, above), name)


def make_directories(root: str, path: str, mode: int) -> bool:
    """Make the directory at ``path`` with that mode, and those above it that are missing with
    0755. Returns whether it was missing. Raises OSError, as well if a link leads nowhere."""
    if root == "/":
        return _make_directories_here(path, mode)
    made = False
    names = _names_in(path)
    for count in range(len(names), 0, -1):
        upto = "/" + "/".join(reversed(names[count - 1 :]))
        with Spot(root, upto, follow=False) as spot:
            try:
                os.mkdir(spot.name, mode if count == 1 else 0o755, dir_fd=spot.directory)
                made = True
                continue
            except FileExistsError:
                made = False
        with Spot(root, upto) as spot:
            if not stat.S_ISDIR(spot.status().st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), upto)
    return made


def _make_directories_here(path: str, mode: int) -> bool:
    if os.path.isdir(path):
        return False
    os.makedirs(os.path.dirname(path.rstrip("/")), mode=0o755, exist_ok=True)
    os.mkdir(path, mode)
    return True
