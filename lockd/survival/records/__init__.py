"""The records of the journal: the functions that make them, and the methods that replay them.

A record is one line of JSON, a list that begins with its kind. Each kind has one function that
makes it and one method that replays it, side by side in the module of its subject:

=============  =====================================================
module         kinds
=============  =====================================================
``settings``   ``settings``, ``changed``
``locks``      ``space``, ``lock``, ``born``, ``also``, ``less``, ``relock``, ``unlock``, ``closed``
``clients``    ``ids``, ``client``, ``owner``, ``restricted``, ``received``, ``more``, ``unsent``,
               ``sent``, ``doubtful``, ``waiting``, ``busy``, ``gone``
``guests``     ``dying``, ``dead``
``processes``  ``process``
``starts``     ``starts``
``ending``     ``ending``
``stopped``    ``stopped``, ``goes_on``
=============  =====================================================

Besides there are ``format``, with which every journal begins (:mod:`lockd.survival.journal`), and
``descriptors``, with which it ends before an exec (:mod:`lockd.survival.handover`).

Another version of lockd may have written the journal. A replay ignores an unknown kind, and unknown
fields at the end of a record. So a later version may add kinds, and fields at the end of a record;
a missing field has its default. Any other change is a new format
(:data:`lockd.survival.journal.FORMAT`).

To add a kind, write its function and its method. A subject of its own is a new module with a class
``Records``, and its name in :data:`SUBJECTS`.
"""

from __future__ import annotations

from importlib import import_module

from lockd.survival.records import locks
from lockd.survival.records.encoding import parsed_but

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final, TypeVar

    Subject = TypeVar("Subject")

#: The modules of the subjects.
SUBJECTS: Final = (
    "settings",
    "locks",
    "clients",
    "guests",
    "processes",
    "starts",
    "ending",
    "stopped",
)


class JournalState:
    """What records come to, in blocks of whole lines: the state of the process that wrote them.
    Pure."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        subjects = [import_module(f"{__name__}.{name}").Records() for name in SUBJECTS]
        self._subjects: Final = {type(each): each for each in subjects}
        replays = {kind: replay for subject in subjects for kind, replay in subject.replays.items()}
        for fields in parsed_but(blocks, locks.LATE):
            replay = replays.get(fields.pop(0))
            if replay is not None:
                replay(fields)

    def of(self, subject: type[Subject]) -> Subject:
        """What the records of a subject come to, by its class."""
        found: Subject = self._subjects[subject]
        return found
