"""What ``lockd status`` and ``lockd locks`` print."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lockcfg.yamlschema import load_schema, violations
from tests.lockd.client import SHARED
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
        client.register("guest", 4242)
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
