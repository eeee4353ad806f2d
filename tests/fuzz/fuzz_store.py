"""A fleet store that is damaged: the command that reads it says so."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tests.fuzz.running import guided, run

with guided("lockcfg"):
    from lockcfg.fleet.store.ingest import ingest
    from lockcfg.fleet.store.store import Store
    from lockcfg.main import main

if TYPE_CHECKING:
    from typing import Final

_SCRATCH: Final = TemporaryDirectory()
_PATH: Final = os.path.join(_SCRATCH.name, "fleet.store")


def _whole() -> bytes:
    store = Store.create(_PATH)
    snapshot = Path(__file__).parent / "corpus/snapshot/whole"
    ingest([str(snapshot)], store)
    store.close()
    with open(_PATH, "rb") as file:
        return file.read()


_WHOLE: Final = _whole()


def TestOneInput(data: bytes) -> None:  # noqa: N802
    """An input says which bytes of a whole store are others: two for the place, one for the byte;
    and at the end, by how much it is cut off."""
    content = bytearray(_WHOLE)
    for at in range(0, len(data) - 2, 3):
        content[int.from_bytes(data[at : at + 2], "big") % len(content)] = data[at + 2]
    if len(data) % 3 == 1:
        del content[len(content) - data[-1] * 64 :]
    with open(_PATH, "wb") as file:
        file.write(content)
    out, err = sys.stdout, sys.stderr
    with open(os.devnull, "w") as null:
        sys.stdout = sys.stderr = null
        try:
            status = main(("audit", "--format", "json", _PATH))
        finally:
            sys.stdout, sys.stderr = out, err
    assert status in (0, 1, 2, 3)


if __name__ == "__main__":
    run(TestOneInput)
