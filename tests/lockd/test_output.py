"""What ``lockd status`` and ``lockd locks`` print."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from lockcfg.yamlschema import load_schema, violations
from lockd.programs.inspect import LOCKS, PROGRAM
from lockd.wire.xdr import pack_uint
from tests.lockd.client import SHARED, Client
from tests.lockd.engine import Engine, wait_for

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

SCHEMA = load_schema("lockd-output")


def against(command: str, answer: Any) -> list[tuple[str, str]]:
    """What the schema has against an answer."""
    return violations(answer, {**SCHEMA, "$ref": f"#/$defs/{command}"})


def test_the_json_is_what_the_schema_says(tmp_path: Path) -> None:
    """With locks of every kind, and one in danger; and the schema does refuse something."""
    disk = tmp_path / "disk"
    disk.touch()
    with Engine(tmp_path, "--check-interval", "0.2") as engine:
        client = engine.client()
        client.register("guest", 5004242)
        client.acquire("", disk, 0)
        client.acquire(engine.lockspace, "shared", SHARED | 2)
        client.acquire(engine.lockspace, "exclusive")
        disk.unlink()
        wait_for(lambda: bool(engine.ask("status")["problems"]), "the danger is seen")
        status, locks = engine.ask("status"), engine.ask("locks")
        assert against("status", status) == []
        assert against("locks", locks) == []
        assert {lock["mode"] for lock in locks} == {"shared", "exclusive"}
        assert against("status", locks)
        assert against("locks", [{**locks[0], "mode": "none"}])


def test_the_schema_is_one() -> None:
    """And each object in it is closed and described."""
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(SCHEMA)
    text = json.dumps(SCHEMA)
    assert text.count('"type": "object"') == text.count('"additionalProperties": false')


def test_thousands_of_locks(tmp_path: Path) -> None:
    """A client that asks for them gets each once, by name, in short answers, so that no other
    client waits."""
    names = [f"disk-{index:04}" for index in range(1000)]
    with Engine(tmp_path) as engine, Client(engine.admin_socket) as reader:
        client = engine.client()
        client.register("guest", 5004242)
        for name in reversed(names):
            client.acquire(engine.lockspace, name)
        assert [lock["resource"] for lock in engine.ask("locks")] == names
        assert len(reader.call(LOCKS, pack_uint(0), program=PROGRAM)) < 100_000


@pytest.mark.parametrize("pause", [0, 0.02, 0.5])
def test_a_crash_in_the_midst_of_answers(tmp_path: Path, pause: float) -> None:
    """A slow reader gets all of them, or is disconnected if it is unknown what has been sent; no
    answer is ever missing or sent twice."""
    # More than the answers to them fit into the socket, but so few that all of the calls do: Linux
    # takes some 70 small messages from who is not read, as lockd does not while he does not read.
    asked = 50
    with Engine(tmp_path) as engine, Client(engine.admin_socket) as reader:
        client = engine.client()
        client.register("guest", 5004242)
        for index in range(100):
            client.acquire(engine.lockspace, f"disk-{index}")
        for _ in range(asked):
            reader.send(LOCKS, pack_uint(0), program=PROGRAM)
        answers = [reader.reply() for _ in range(3)]
        time.sleep(pause)
        engine.crash()
        try:
            while len(answers) < asked:
                answers.append(reader.reply())
        except EOFError:
            assert pause < 0.5
        assert len(set(answers)) == 1
