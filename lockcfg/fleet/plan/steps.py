"""The steps of a plan, for people, each with its work as data for programs."""

from __future__ import annotations

from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Final, Literal

    from lockcfg.fleet.comparison.result import AuditFinding

    #: set: change files. mount: mount something, ``unmount`` first where something else is there.
    #: run: run a command. save, start: a guest, with its memory to a file and back.
    Doing = Literal["set", "mount", "run", "save", "start"]


class Work(Frozen):
    """Something to be done on each of ``hosts``, one after the other: ``commands`` for a shell of
    root there, in order, the first that fails ends it. ``data`` says the same for a program that
    does it another way: its members depend on ``do`` (see ``schemas/output.schema.json``)."""

    __slots__ = ("commands", "data", "do", "hosts")

    def __init__(
        self, do: Doing, hosts: Sequence[str], commands: Sequence[str], data: Mapping[str, Any]
    ) -> None:
        self.do: Final = do
        self.hosts: Final = tuple(hosts)
        self.commands: Final = tuple(commands)
        self.data: Final = dict(data)


class Step(Frozen):
    """A step of the plan for a ``group``: an ``action`` (look, ``mend``, decide, mount, write,
    hold, empty, install, start, restart, limit, guests, release, check), the ``hosts`` it is for,
    what to do in ``text``, the ``details`` for a person, and the ``work``, in order. ``gap`` is
    whether hosts are mixed when it is done, so that two of them would let two guests write one
    disk."""

    __slots__ = ("action", "details", "gap", "group", "hosts", "text", "work")

    def __init__(
        self,
        group: str,
        action: str,
        hosts: Sequence[str],
        text: str,
        *,
        details: Sequence[str] = (),
        work: Sequence[Work] = (),
        gap: bool = False,
    ) -> None:
        self.group: Final = group
        self.action: Final = action
        self.hosts: Final = tuple(hosts)
        self.text: Final = text
        self.details: Final = tuple(details)
        self.work: Final = tuple(work)
        self.gap: Final = gap


class Plan(Frozen):
    """The ``steps`` in order. ``covered`` are the findings of now that are gone when all is done,
    ``uncovered`` those that stay, or come: for these it has no step."""

    __slots__ = ("covered", "steps", "uncovered")

    def __init__(
        self,
        steps: Sequence[Step],
        covered: Sequence[AuditFinding] = (),
        uncovered: Sequence[AuditFinding] = (),
    ) -> None:
        self.steps: Final = tuple(steps)
        self.covered: Final = tuple(covered)
        self.uncovered: Final = tuple(uncovered)
