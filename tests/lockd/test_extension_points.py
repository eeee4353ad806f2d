"""What is meant to be added to lockd is one new file, and one line in a table."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lockd
from lockd.programs import admin, inspect, lock
from lockd.programs.admin import changes
from lockd.wire.xdr import Reader
from tests.lockd.client import Client
from tests.lockd.engine import Engine
from tests.lockd.program import Copy

PACKAGE = Path(lockd.__file__).parent


def add(copy: Copy, file: str, text: str, table: str, after: str, line: str) -> None:
    """Add a file, and behind another one a line to a table."""
    path = copy.package / file
    assert not path.exists()
    path.write_text(text)
    before = (copy.package / table).read_text()
    copy.change(table, after, f"{after}\n{line}")
    assert len((copy.package / table).read_text().splitlines()) == len(before.splitlines()) + 1


PROCEDURE = '''"""COUNT: how much is locked. It answers with a number."""

from __future__ import annotations

from lockd.wire.xdr import pack_uint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.inspect.context import InspectContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: InspectContext, session: Session, arguments: Reader) -> bytes:
    """The number of all locks."""
    return pack_uint(sum(1 for _ in context.engine.table.resources()))
'''


def test_a_procedure(tmp_path: Path) -> None:
    """It is called by its number."""
    copy = Copy(tmp_path)
    file, table = "programs/inspect/count.py", "programs/inspect/__init__.py"
    add(copy, file, PROCEDURE, table, '        LOCKS: "locks",', '        99: "count",')
    with Engine(tmp_path, command=copy.command) as engine:
        client = engine.client()
        client.register("guest", 5004242)
        client.acquire(engine.lockspace, "disk")
        with Client(engine.admin_socket) as asking:
            assert Reader(asking.call(99, program=inspect.PROGRAM)).uint() == 1


SETTING = '''"""``log_level``: the level of the log."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.admin.changes.changeable import Changeable


def apply(changeable: Changeable, name: str, value: int) -> None:
    """Use another level, for the log on standard error."""
    changeable.logging.set_outputs(f"{value}:stderr")
    changeable.logging.level = value
'''


def test_a_setting_that_is_changed_at_run_time(tmp_path: Path) -> None:
    """It is in force at once, and after a crash."""
    copy = Copy(tmp_path)
    table = "programs/admin/changes/__init__.py"
    file = "programs/admin/changes/log_level.py"
    add(copy, file, SETTING, table, '    "timeout": "timeout",', '    "log_level": "log_level",')
    # What libvirt's protocol has no call for gets one here, so that it can be seen.
    call = '    context.changes.make("timeout", seconds)'
    copy.change(
        "programs/admin/connect_set_daemon_timeout.py",
        call,
        call.replace('"timeout"', '"log_level"'),
    )
    with Engine(tmp_path, command=copy.command) as engine:
        client = engine.client()
        client.register("guest", 5004242)
        client.acquire(engine.lockspace, "before")
        with Client(engine.admin_socket) as asking:
            asking.call(19, (2).to_bytes(4) + bytes(4), program=admin.PROGRAM)
        client.acquire(engine.lockspace, "at once")
        engine.crash()
        client.acquire(engine.lockspace, "after a crash")
        said = {name: f"/{name}:" in engine.log for name in ("before", "at once", "after a crash")}
        assert said == {"before": False, "at once": True, "after a crash": True}


RECORDS = '''"""The records of the disks that somebody has looked at."""

from __future__ import annotations

from lockd.survival.records.encoding import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from lockd.survival.records.encoding import Replay


def seen(disk: str) -> str:
    """``seen``: somebody has looked at a disk: its path."""
    return record("seen", disk)


class Records:
    """The disks."""

    def __init__(self) -> None:
        self.disks: Final[list[str]] = []
        self.replays: Final[dict[str, Replay]] = {"seen": self._seen}

    def _seen(self, fields: list[Any]) -> None:
        self.disks.append(fields[0])
'''


def test_a_record_of_the_journal(tmp_path: Path) -> None:
    """It is written, and read with all the others."""
    copy = Copy(tmp_path)
    table = "survival/records/__init__.py"
    add(copy, "survival/records/disks.py", RECORDS, table, '    "settings",', '    "disks",')
    program = (
        "from lockd.survival.records import JournalState, disks, locks\n"
        "lines = [disks.seen('/one'), locks.space('/space'), disks.seen('/two')]\n"
        "state = JournalState(f'{each}\\n'.encode() for each in lines)\n"
        "print(*state.of(disks.Records).disks, *state.of(locks.Records).spaces)\n"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", program],
        cwd=copy.package.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "/one /two /space\n"


def functions(path: Path, name: str) -> list[ast.FunctionDef]:
    """The functions of that name in a file."""
    tree = ast.parse(path.read_text())
    return [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]


def files_with(directory: Path, function: str) -> set[str]:
    """The modules in a directory that have such a function."""
    return {path.stem for path in directory.glob("*.py") if functions(path, function)}


@pytest.mark.parametrize("program", [lock, admin, inspect], ids=lambda each: each.__name__)
def test_every_procedure_is_in_the_table(program: Any) -> None:
    """And takes the context of its own program, which is all that it can touch."""
    directory = Path(program.__file__).parent
    called = [each.__module__.rpartition(".")[2] for each in program.PROCEDURES.values()]
    assert sorted(called) == sorted(files_with(directory, "call"))
    context = f"{directory.name.capitalize()}Context"
    for name in called:
        (call,) = functions(directory / f"{name}.py", "call")
        annotations = [ast.unparse(each.annotation) for each in call.args.args if each.annotation]
        assert annotations == [context, "Session", "Reader"], name


def test_every_setting_is_in_the_table() -> None:
    """Each file is that of some."""
    directory = Path(changes.__file__).parent
    assert set(changes.SETTINGS.values()) == files_with(directory, "apply")
