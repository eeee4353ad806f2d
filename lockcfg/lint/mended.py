"""What each host protects after fixes have changed its files."""

from __future__ import annotations

import os

from lockcfg.change.verdict import verdict_of_files
from lockcfg.conf.document import Document
from lockcfg.conf.files import DRIVERS, kinds_of
from lockcfg.conf.load import read_bytes
from lockcfg.errors import ConfSyntaxError, LockcfgError, ReadError
from lockcfg.lint.discover import recognise
from lockcfg.lint.result import Mended

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lockcfg.conf.files import FileKind


def mended(paths: Iterable[str]) -> Iterator[Mended]:
    """The verdict on each host that has one of the files at ``paths``."""
    paths = set(paths)
    for directory in sorted({os.path.dirname(path) for path in paths}):
        for driver in DRIVERS:
            kinds = kinds_of(driver)
            changed = any(os.path.join(directory, kind.name) in paths for kind in kinds)
            if changed and os.path.lexists(os.path.join(directory, f"{driver}.conf")):
                files = {kind.role: _file(directory, kind) for kind in kinds}
                yield Mended(directory, driver, verdict_of_files(driver, files))


def _file(directory: str, kind: FileKind) -> Document | LockcfgError:
    path = os.path.join(directory, kind.name)
    if not os.path.lexists(path):
        return Document(kind, path, None, ())
    try:
        found = recognise(read_bytes(path), kind, path)
        return ReadError(path, f"is {found}") if isinstance(found, str) else found
    except (ReadError, ConfSyntaxError) as error:
        return error
