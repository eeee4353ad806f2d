"""``lockd events``: print the latest events, and with ``--follow`` those that come."""

from __future__ import annotations

import argparse
import json
import sys
import time
from functools import partial

from lockd.counted import counted
from lockd.escape import escaped
from lockd.programs.inspect import EVENTS
from lockd.query import QueryError, ask, call
from lockd.wire.xdr import pack_uint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final

#: How often it is asked, and how long to wait for a daemon that is being started again, in seconds.
_PAUSE: Final = 0.1
_GONE: Final = 1.0

_LONGEST: Final = 4096


def main(arguments: Sequence[str], address: str) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="lockd events",
        description="Print the events of the running lockd that are worth a warning, such as"
        " refusals and losses. With --follow print all events from now on, grants and"
        " releases too, until you interrupt it; it follows a lockd that is started"
        " again. Exit status: 0 fine, 3 lockd does not answer.",
        allow_abbrev=False,
    )
    parser.add_argument("--follow", action="store_true", help="go on until it is interrupted")
    parser.add_argument("--json", action="store_true", help="print a JSON object a line")
    parser.add_argument("--socket", default=address, help=f"the admin socket ({address})")
    options = parser.parse_args(arguments[1:])
    follower = Follower(options.socket, follow=options.follow, as_json=options.json)
    try:
        return follower.run()
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        # Its reader has seen enough; Python would complain when it flushes.
        sys.stdout = None
        return 0


class Follower:
    """Asks the daemon at an admin socket again and again, and prints what is new."""

    def __init__(self, address: str, *, follow: bool, as_json: bool) -> None:
        self._address: Final = address
        self._follow: Final = follow
        self._as_json: Final = as_json
        self._number = 0
        self._since = 0.0
        self._begun = not follow

    def run(self) -> int:
        """Until all is printed or, where it follows, until it is interrupted."""
        was_there = False
        while True:
            try:
                answer = self._ask()
            except QueryError as error:
                if not (self._follow and was_there):
                    sys.stderr.write(f"lockd events: {error}\n")
                    return 3
                time.sleep(_GONE)
                continue
            was_there = True
            is_all = self._print(answer)
            sys.stdout.flush()
            if is_all and not self._follow:
                return 0
            if is_all:
                time.sleep(_PAUSE)

    def _ask(self) -> dict[str, Any]:
        words = pack_uint(self._number) + pack_uint(int(self._follow))
        answer: dict[str, Any] = ask(
            self._address, partial(call, procedure=EVENTS, arguments=words)
        )
        return answer

    def _print(self, answer: dict[str, Any]) -> bool:
        """Print what is new; whether that is all there is."""
        if answer["since"] != self._since:
            is_another = bool(self._since)
            self._since, self._number = answer["since"], 0
            if is_another:
                return False  # another daemon, which counts again
        if not self._begun:
            # With --follow, older events are not wanted.
            self._begun, self._number = True, answer["last"]
            return True
        if answer["lost"]:
            sys.stderr.write(f"lockd events: lost {counted(answer['lost'], 'event')}\n")
        for event in answer["events"]:
            self._number = event.pop("number")
            self._show(event)
        return not answer["events"] or self._number >= answer["last"]

    def _show(self, event: dict[str, Any]) -> None:
        if self._as_json:
            sys.stdout.write(json.dumps(event) + "\n")
            return
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event["time"]))
        sys.stdout.write(escaped(f"{when}  {event['event']}  {event['message']}", _LONGEST) + "\n")
