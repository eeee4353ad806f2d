"""The steps of a plan for people; each has its work as data for programs."""

from __future__ import annotations

from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Final, Literal

    from lockcfg.fleet.comparison.result import AuditFinding

    #: set: change files. mount: mount something, after an ``unmount`` if something else is mounted
    #: there. run: run a command. save, start: write a guest with its memory to a file, and start it
    #: again.
    Doing = Literal["set", "mount", "run", "save", "start"]


class Work(Frozen):
    """Work on each of ``hosts``, one host after the other. ``commands`` are for a root shell there,
    in order; the first that fails ends the work. ``data`` says the same for a program that does it
    in another way; its members depend on ``do`` (see ``schemas/output.schema.json``)."""

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
    hold, empty, install, start, restart, limit, guests, release, check), its ``hosts``, the
    instruction in ``text``, the ``details`` for a person, and the ``work``, in order. ``gap`` tells
    that old and new hosts are mixed after the step, so that two of them would let two guests write
    one disk."""

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
    """The ``steps`` in order. ``covered`` are the present findings that are gone after the plan.
    ``uncovered`` are the findings that stay or appear: the plan has no step for them."""

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

    @property
    def is_short(self) -> bool:
        """Whether a finding stays that counts."""
        return any(finding.severity != "info" for finding in self.uncovered)
