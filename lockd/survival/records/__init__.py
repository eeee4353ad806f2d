"""The records of the journal: what writes each of them, and what they come to.

A record is one line of JSON, a list that begins with its kind. Each kind has one function that
makes it and one method that replays it, side by side in the module of its subject:

=============  =====================================================
module         kinds
=============  =====================================================
``settings``   ``settings``, ``changed``
``locks``      ``space``, ``lock``, ``also``, ``less``, ``relock``, ``unlock``, ``closed``
``clients``    ``ids``, ``client``, ``owner``, ``restricted``, ``received``, ``more``, ``unsent``,
               ``sent``, ``waiting``, ``gone``
``guests``     ``dying``, ``dead``
=============  =====================================================

Besides there are ``format``, with which every journal begins (:mod:`lockd.survival.journal`), and
``descriptors``, with which it ends before an exec (:mod:`lockd.survival.handover`).

The journal may be of another version of lockd. A replay passes over a kind that it does not know,
and over what follows the fields that it knows. So a later version may add kinds, and fields at the
end of a record; one that reads what an earlier version has left takes the default for a field that
is missing. Whatever else changes is another format (:data:`lockd.survival.journal.FORMAT`).

To add a kind, write its function and its method. A subject of its own is a new module, and a line
in :class:`State`.
"""

from __future__ import annotations

import json

from lockd.survival.records.clients import ClientRecords
from lockd.survival.records.guests import GuestRecords
from lockd.survival.records.locks import LockRecords
from lockd.survival.records.settings import SettingsRecords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final


class State:
    """What the records ``lines`` come to: the state of the process that wrote them. Pure."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self.settings: Final = SettingsRecords()
        self.locks: Final = LockRecords()
        self.clients: Final = ClientRecords()
        self.guests: Final = GuestRecords()
        replays = {
            kind: replay
            for subject in vars(self).values()
            for kind, replay in subject.replays.items()
        }
        for line in lines:
            kind, *fields = json.loads(line)
            replay = replays.get(kind)
            if replay is not None:
                replay(fields, line)
