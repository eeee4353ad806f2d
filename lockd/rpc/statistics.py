"""Counts the calls of a program: how they ended, and how long they took.

The time that a call waits for a silent file system does not count: the call starts again when that
answers. Measuring costs half a microsecond a call.
"""

from __future__ import annotations

from bisect import bisect_left
from time import perf_counter

from lockd.locks.remote import SilentError
from lockd.wire.fault import RESOURCE_BUSY, Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Final

    from lockd.rpc.dispatch import Program
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader

#: The upper ends of the classes of durations, in seconds; one more class is for all that is longer.
BUCKETS: Final = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005),
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
)


class CallStatistics:
    """The figures of one procedure: the calls that were ``done``, ``refused`` because another owner
    holds the lock, or ``failed`` otherwise; the numbers by duration (:data:`BUCKETS`), and the
    total time."""

    __slots__ = ("buckets", "done", "failed", "refused", "seconds")

    def __init__(self) -> None:
        self.done = 0
        self.refused = 0
        self.failed = 0
        self.buckets: Final = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0

    def record(self) -> dict[str, Any]:
        """The figures as JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


def measured(
    program: Program, names: Mapping[int, str], statistics: dict[str, CallStatistics]
) -> Program:
    """A program whose calls are counted into ``statistics``, by the ``names`` of procedures."""
    return {
        number: _measured(procedure, statistics.setdefault(names[number], CallStatistics()))
        for number, procedure in program.items()
    }


def _measured(
    procedure: Callable[[Session, Reader], bytes], of: CallStatistics
) -> Callable[[Session, Reader], bytes]:
    buckets = of.buckets

    def call(session: Session, arguments: Reader) -> bytes:
        begun = perf_counter()
        try:
            payload = procedure(session, arguments)
        except SilentError:
            raise
        except Fault as error:
            if error.code == RESOURCE_BUSY:
                of.refused += 1
            else:
                of.failed += 1
            seconds = perf_counter() - begun
            buckets[bisect_left(BUCKETS, seconds)] += 1
            of.seconds += seconds
            raise
        except Exception:
            of.failed += 1
            raise
        seconds = perf_counter() - begun
        of.done += 1
        buckets[bisect_left(BUCKETS, seconds)] += 1
        of.seconds += seconds
        return payload

    return call
