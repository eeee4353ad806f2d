"""Something unforeseen goes wrong: the daemon continues with what it has written down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lockd.attack.faults import answer_of, own_file_system, wait_for_agreement
from tests.lockd.client import CREATE, resource
from tests.lockd.engine import Engine, end, wait_for
from tests.lockd.program import Copy

if TYPE_CHECKING:
    from pathlib import Path

OWN_ERROR = "internal error: the lock daemon has logged an error of its own"


@pytest.mark.parametrize("keeper", ["kept", "alone"])
def test_an_error_in_a_call(tmp_path: Path, keeper: str) -> None:
    """The caller gets an error, and lockd undoes the half of the call that it had done. It loses no
    lock, even without a keeper."""
    copy = Copy(tmp_path)
    copy.change(
        "locks/engine.py",
        '''        """CREATE_RESOURCE: make an empty file to lock. Raises Fault, SilentError."""
''',
        '''        """It forgets something, and raises what nobody expects."""
        self.table._by_owner.clear()
        self.table.spaces[directory].resources.clear()
        raise ZeroDivisionError
''',
    )
    with (
        own_file_system(tmp_path / "lockspace"),
        Engine(tmp_path, command=copy.command) as engine,
    ):
        client = engine.client()
        client.register("guest", 1 << 23)
        for name in ("a", "b"):
            client.acquire(engine.lockspace, name)
        daemon = engine.pid
        if keeper == "alone":
            # The program no longer starts, so there is no other supervisor.
            copy.change("survival/supervisor.py", "class Supervisor:", "class Another:")
            engine.process.kill()
            engine.process.wait()
            wait_for(lambda: "the supervisor has ended" in engine.log, "it is alone")
            copy.change("survival/supervisor.py", "class Another:", "class Supervisor:")
        took = engine.log.count("took over")
        said = answer_of(client.call, CREATE, resource(engine.lockspace, "new", 0))
        assert said == OWN_ERROR
        wait_for(lambda: engine.log.count("took over") > took, "it has begun again")
        assert "ZeroDivisionError" in engine.log
        assert "continuing from the journal" in engine.log
        assert "is locked by guest 'guest'" in answer_of(client.acquire, engine.lockspace, "a")
        wait_for_agreement(engine)
        if keeper == "alone":
            again = "the locks outlive a crash again"
            wait_for(lambda: again in engine.log, "it is a supervisor itself")
            wait_for(lambda: engine.log.count("took over") > took + 1, "it has another daemon")
        client.release(engine.lockspace, "a")
        if keeper == "alone":
            end(daemon)  # it is the supervisor of the next one by now
