"""Checks every lock again and again: is it still on the file of that name, and still held?

A removed lock file takes its lock with it, and a file system between hosts can lose a lock
without a warning. This module finds both, logs them, and takes the lock again if it can.

Such a file system may also make every caller wait until a server is back. So a thread asks it, one
for each file system that has not answered yet. Silence is logged like a loss, because a loss begins
with it.
"""

from __future__ import annotations

import os
import time
from collections import deque
from functools import partial

from lockd.events import LOST, REGAINED, SAFE, Event
from lockd.kernel import filelock
from lockd.kernel.named import PlantedError
from lockd.kernel.note import note_now
from lockd.locks.remote import PATIENCE, SilentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Final, Literal

    from lockd.events import Kind
    from lockd.kernel.aside import Aside
    from lockd.kernel.filelock import FileLock, State
    from lockd.kernel.loop import Loop
    from lockd.locks.engine import Engine
    from lockd.locks.space import Resource
    from lockd.log import Log

    #: The result of a check, in this order: the lock is held. It was lost and is held again, and no
    #: other host has had it meanwhile. The same, but another host may have had it. It is lost. It
    #: is unknown, as the file system does not answer.
    Standing = Literal["held", "regained", "anew", "lost", "unknown"]

#: How often every lock is checked by default, in seconds.
INTERVAL: Final = 10.0

#: How long checks may take at a time before they pause for clients, in seconds.
_SLICE: Final = 0.001
_REST: Final = 0.005

#: How many locks are asked for by one thread, and for how long, in seconds.
_BATCH: Final = 64
_BATCH_FOR: Final = 1.0


class Question:
    """A question about a lock. ``asked`` is when the file system was asked, 0 if it was not. Once
    it is answered, ``answer`` or ``error`` is set; if the lock had been lost, ``note`` is the note
    that the file had then."""

    __slots__ = ("answer", "asked", "error", "lock", "note", "path", "plain", "resource", "shared")

    def __init__(self, resource: Resource) -> None:
        self.resource: Final = resource
        self.lock: Final[FileLock] = resource.lock
        self.path: Final = resource.path
        self.shared: Final = resource.shared
        self.plain: Final = resource.is_plain
        # The lock may be released at any time, and the number of its descriptor would be reused.
        self.lock.busy = True
        self.asked = 0.0
        self.answer: State | None = None
        self.note = b""
        self.error = ""

    def matters(self) -> bool:
        """Whether the lock is still held."""
        return bool(self.resource.owners) and self.resource.lock is self.lock

    def ask(self) -> None:
        """Ask the file system."""
        self.asked = time.monotonic()
        if not self.matters():
            return
        try:
            self.answer = filelock.look_at(
                self.lock, self.path, shared=self.shared, plain=self.plain
            )
            if self.answer == "regained":
                self.note = note_now(self.lock.fd, self.path)
        except OSError as error:
            self.error = error.strerror or str(error)
        if not self.matters():
            # The lock was released meanwhile, and the question took it again.
            try:
                filelock.unlock(self.lock)
            except OSError as error:
                self.error = error.strerror or str(error)


class Inquiry:
    """The questions to one file system in a round: some locks at a time, ``aside`` from the
    loop."""

    def __init__(self, resources: list[Resource], aside: Aside) -> None:
        self._left: Final = deque(resources)
        self._aside: Final = aside
        self._since = time.monotonic()
        self.questions: list[Question] = []
        self.is_answered = False

    def go_on(self, then: Callable[[], object]) -> bool:
        """Ask about the next locks, and call ``then`` when these are answered; False if there are
        no more."""
        self._left.extendleft(each.resource for each in self.questions[::-1] if not each.asked)
        self.questions = []
        while self._left and len(self.questions) < _BATCH:
            resource = self._left.popleft()
            if resource.owners:
                self.questions.append(Question(resource))
        if not self.questions:
            return False
        self.is_answered = False
        self._since = time.monotonic()
        error = self._aside.run(self._ask, then)
        if error:
            for question in self.questions:
                question.asked, question.error = self._since, error
            self.is_answered = True
        return True

    def _ask(self) -> None:
        until = time.monotonic() + _BATCH_FOR
        for question in self.questions:
            self._since = time.monotonic()
            question.ask()
            if question.asked > until:
                break  # the answers to the first ones must not get old
        self.is_answered = True

    @property
    def is_stuck(self) -> bool:
        """Whether the file system is silent."""
        return not self.is_answered and time.monotonic() - self._since > PATIENCE


class Health:
    """The rounds through all locks, one every ``interval`` seconds; 0 means none. ``on_standing``
    is called with each lock that was checked, the result, and in words what is wrong."""

    def __init__(self, engine: Engine, loop: Loop, aside: Aside, interval: float, log: Log) -> None:
        self._engine: Final = engine
        self._loop: Final = loop
        self._interval: Final = interval
        self._log: Final = log
        self._aside: Final = aside
        #: The inquiries that are not finished, by the number of the device.
        self._inquiries: Final[dict[int, Inquiry]] = {}
        #: The locks that wait for the file system that their names lead to now.
        self._postponed: Final[set[Resource]] = set()
        self.on_standing: Callable[[Resource, Standing, str], object] = _nothing
        if interval > 0:
            loop.after(interval, self._begin)

    @property
    def is_asking(self) -> bool:
        """Whether a thread is asking a file system about its locks."""
        return bool(self._inquiries)

    @property
    def is_waiting(self) -> bool:
        """Whether locks wait to be checked until their file system answers."""
        return bool(self._postponed)

    # --- a round

    def _begin(self) -> None:
        resources = [*self._engine.table.resources()]
        self._go_on(iter(resources), {}, time.monotonic())

    def _go_on(
        self, left: Iterator[Resource], shared: dict[int, list[Resource]], begun: float
    ) -> None:
        until = time.monotonic() + _SLICE
        for resource in left:
            if resource.owners:
                if self._engine.files.may_be_lost(resource):
                    shared.setdefault(resource.lock.identity[0], []).append(resource)
                else:
                    self.check(resource)
            if time.monotonic() > until:
                self._loop.after(_REST, partial(self._go_on, left, shared, begun))
                return
        for device, resources in shared.items():
            self._inquire(device, resources)
        wait = begun + self._interval - time.monotonic()
        self._loop.after(max(wait, _REST), self._begin)

    def look(self, resources: Iterable[Resource]) -> None:
        """Check some locks now, besides the rounds."""
        shared: dict[int, list[Resource]] = {}
        for resource in resources:
            if self._engine.files.may_be_lost(resource):
                shared.setdefault(resource.lock.identity[0], []).append(resource)
            else:
                self.check(resource)
        for device, of_device in shared.items():
            self._inquire(device, of_device)

    def check(self, resource: Resource) -> None:
        """Check a lock on a file system of this host alone, which answers at once, or a POSIX lock.
        If its file system may still be silent, check the lock when that answers."""
        engine = self._engine
        standing: Standing
        try:
            # Its name may lead to another file system by now.
            engine.files.check_remote(resource)
            found = engine.renewal.renew(resource)
            is_in_place = engine.files.is_in_place(resource)
            problem = "" if is_in_place else self._mend(resource)
        except SilentError as error:
            if resource not in self._postponed:
                self._postponed.add(resource)
                error.remote.wait(partial(self._check_if_held, resource))
            if error.remote.problem:
                problem = _no_answer("the file system that its name leads to now is silent")
                self._judge(resource, problem, "unknown")
            return
        except OSError as error:
            problem, standing = _no_answer(error.strerror or str(error)), "unknown"
        else:
            if found == "taken" and not problem:
                problem = self._taken(resource)
            standing = "lost" if problem else "held" if is_in_place else "anew"
            if found == "regained" and not problem:
                standing = "anew"
                message = (
                    f"DISK IN DANGER: the lock {resource.path} of {_owners(resource)} had been"
                    " lost by the previous daemon: locked again; another host may have had it"
                    " meanwhile"
                )
                self._tell(REGAINED, message, resource)
        self._judge(resource, problem, standing)

    def _check_if_held(self, resource: Resource) -> None:
        """The file system has answered: check the lock if it is still held."""
        self._postponed.discard(resource)
        if resource.owners:
            self.check(resource)

    def _taken(self, resource: Resource) -> str:
        other = self._engine.files.beside(resource)
        if other:
            return f"its file is locked{other}: two guests write one disk"
        return "it was lost with the previous daemon, and another process has it now"

    def _inquire(self, device: int, resources: list[Resource]) -> None:
        inquiry = self._inquiries.get(device)
        if inquiry is None:
            inquiry = self._inquiries[device] = Inquiry(resources, self._aside)
            self._next(device, inquiry)
        elif inquiry.is_stuck:
            for resource in resources:
                problem = _no_answer("another host may have the lock by now")
                self._judge(resource, problem, "unknown")

    def _next(self, device: int, inquiry: Inquiry) -> None:
        if not inquiry.go_on(partial(self._on_answers, device, inquiry)):
            del self._inquiries[device]

    def _on_answers(self, device: int, inquiry: Inquiry) -> None:
        for question in inquiry.questions:
            self._on_answer(question)
        self._next(device, inquiry)

    def _on_answer(self, question: Question) -> None:
        filelock.set_free(question.lock)
        if question.asked:
            self._act_on(question)

    def _act_on(self, question: Question) -> None:
        if not question.matters():
            return
        try:
            problem, standing = self._problem(question)
        except SilentError as error:
            error.remote.wait(partial(self._act_on, question))
            return
        is_old = time.monotonic() - question.asked > filelock.SURE_FOR
        if not is_old or standing not in ("held", "regained"):
            self._judge(question.resource, problem, standing)
        # Else it was held then, and may be lost by now: the next round tells.

    def _problem(self, question: Question) -> tuple[str, Standing]:
        """Repair what can be repaired of a lock that was asked about. Returns what is wrong with
        it, and the result of the check. Raises SilentError."""
        resource = question.resource
        if question.answer is None:
            return _no_answer(question.error), "unknown"
        if question.answer == "moved":
            self._engine.files.check_remote(resource)
            try:
                problem = self._mend(resource)
            except OSError as error:
                return _no_answer(error.strerror or str(error)), "unknown"
            return problem, "lost" if problem else "anew"
        if question.answer == "taken":
            return "the file system has lost the lock, and another host has it now", "lost"
        if question.answer == "regained":
            untouched = self._engine.visibility.is_noted_by(resource, question.note)
            message = (
                f"DISK IN DANGER: the file system had lost the lock {resource.path} of"
                f" {_owners(resource)}: locked again; "
            )
            message += (
                "no other lockd has had it meanwhile"
                if untouched
                else "another host may have had it meanwhile"
            )
            self._tell(REGAINED, message, resource)
            self._engine.visibility.renew(resource)
            return "", "regained" if untouched else "anew"
        return "", "held"

    # --- what is found

    def _judge(self, resource: Resource, problem: str, standing: Standing) -> None:
        """Log what is wrong with a lock, or that nothing is wrong any longer."""
        problem = problem or self._engine.files.doubled(resource)
        if problem and problem != resource.problem:
            message = (
                f"DISK IN DANGER: the lock {resource.path} of {_owners(resource)} is not safe:"
                f" {problem}"
            )
            self._tell(LOST, message, resource)
        elif resource.problem and not problem:
            self._tell(SAFE, f"the lock {resource.path} is safe again", resource)
        resource.problem = problem
        self.on_standing(resource, standing, problem)

    def _tell(self, kind: Kind, message: str, resource: Resource) -> None:
        """Log an event of a lock, with the guest that has it, or the first of several."""
        owner = resource.owners[0].fields() if resource.owners else {}
        self._log.event(Event(kind, message, owner | resource.fields()))

    def _mend(self, resource: Resource) -> str:
        """What is wrong with a lock whose file is not at its name, if it cannot be repaired."""
        gone = "removed" if self._engine.files.is_gone(resource) else "replaced"
        if not resource.create:
            return f"its file was {gone}; another guest can lock the new file of that name"
        try:
            self._engine.renewal.retake(resource)
        except filelock.HeldError:
            return f"its file was {gone}, and another process has locked the new one"
        except filelock.VanishedError:
            return f"its file was {gone}, and was so at every attempt"
        except PlantedError as error:
            return f"its file was {gone}: {error}"
        except FileNotFoundError:
            # Not made again: what was there may have been a mounted file system.
            return f"its file was {gone}, and with it {os.path.dirname(resource.path)}"
        message = f"the lock file {resource.path} was {gone} while it was held: locked again"
        self._tell(REGAINED, message, resource)
        return ""


def _nothing(resource: Resource, standing: Standing, problem: str) -> None:
    """Do nothing."""


def _owners(resource: Resource) -> str:
    return " and ".join(map(str, resource.owners))


def _no_answer(why: str) -> str:
    return f"the file system does not answer for it: {why}"
