"""A crash after which another version of lockd is there: it goes on, whatever the one before it
has left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lockd.programs import admin
from lockd.wire.parameters import UINT, Parameter, pack_parameters
from lockd.wire.xdr import pack_string, pack_uint
from tests.lockd.client import Client
from tests.lockd.engine import Engine
from tests.lockd.program import Copy

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Final

    #: What a version does otherwise: file, text, what it has instead.
    Version = tuple[tuple[str, str, str], ...]

_SETTINGS: Final = (
    "daemon/settings.py",
    "return {name: getattr(self, name) for name in self.__slots__}",
)

EARLIER: Final = ((*_SETTINGS, 'return {"max_clients": self.max_clients}'),)

LATER: Final = (
    (*_SETTINGS, 'return {"later": 1} | {name: getattr(self, name) for name in self.__slots__}'),
    (
        "locks/space.py",
        "return self.name, self.uuid.hex(), self.id, self.pid",
        'return self.name, self.uuid.hex(), self.id, self.pid, "later"  # type: ignore',
    ),
    ("survival/records/locks.py", """f'["lock",{fields}]""", """f'["lock",{fields},"later"]"""),
    (
        "survival/records/clients.py",
        'return record("restricted", number)',
        'return record("later", 1) + "\\n" + record("restricted", number, "later")',
    ),
    ("programs/admin/changes/__init__.py", '"prioWorkers": "limits"', '"later": "limits"'),
    ("programs/admin/server_set_threadpool_parameters.py", ".prioWorkers", ".later"),
)


@pytest.mark.parametrize("version", [EARLIER, LATER], ids=["earlier", "later"])
def test_after_another_version(version: Version, tmp_path: Path) -> None:
    """Locks are held, clients are served, and settings are in force, even if the
    configuration can no longer be read."""
    copy = Copy(tmp_path)
    for file, ours, theirs in version:
        copy.change(file, ours, theirs)
    files = {"virtlockd.conf": "max_clients = 7\n"}
    with Engine(tmp_path, command=copy.command, files=files) as engine:
        client, restricted = engine.client(), engine.client()
        for each, name in (client, "one"), (restricted, "two"):
            each.register(f"guest {name}", 5004242)
            each.acquire(engine.lockspace, name)
        restricted.restrict()
        with Client(engine.admin_socket) as administrator:
            workers = pack_parameters([Parameter("prioWorkers", UINT, 3)])
            arguments = pack_string("virtlockd") + workers + pack_uint(0)
            administrator.call(7, arguments, program=admin.PROGRAM)
        for file, ours, theirs in version:
            copy.change(file, theirs, ours)
        (tmp_path / "etc/virtlockd.conf").write_text("max_clients = \n")
        engine.crash()
        assert "the old settings stay in force" in engine.log
        assert ("this version cannot use it" in engine.log) == (version is LATER)
        assert engine.ask("status")["clients"]["virtlockd"]["max"] == 7
        assert {each["resource"] for each in engine.ask("locks")} == {"one", "two"}
        client.release(engine.lockspace, "one")
        engine.crash()
        assert {each["resource"] for each in engine.ask("locks")} == {"two"}
