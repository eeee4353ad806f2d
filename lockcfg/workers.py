"""Jobs that this process and others beside it do together.

Each job is a byte in a pipe, so one process gets it, and a slow process gets fewer. What another
process works out comes back through a pipe of its own.
"""

from __future__ import annotations

import os

from lockcfg.errors import LockcfgError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, Final, NoReturn, TypeVar

    T = TypeVar("T")

    #: Does the jobs of these numbers, and returns what they come to.
    Work = Callable[[Iterator[int]], T]

#: The most jobs: the number of a job is a byte.
MOST_JOBS: Final = 250

#: The most processes.
_MOST_PROCESSES: Final = 4


def processes() -> int:
    """How many processes to use: one for each CPU, up to four; one where this process has
    threads, which do not survive a fork."""
    import threading

    if threading.active_count() > 1:
        return 1
    return min(len(os.sched_getaffinity(0)), _MOST_PROCESSES)


def share(
    jobs: int, own: Work[T], others: Sequence[Work[T]], *, whose: str, help: str
) -> Iterator[T]:
    """Do ``jobs`` jobs, at most :data:`MOST_JOBS`: ``own`` in this process, and each of
    ``others`` in a process of its own. Yields the result of each that ran, this one's first;
    where no more processes can be started, those that run do all jobs.

    Raises :class:`LockcfgError`, which names the program ``whose`` process it was and gives
    ``help``, if one ends before its work is done.
    """
    take, put = os.pipe()
    os.write(put, bytes(range(jobs)))
    os.close(put)
    workers: list[_Worker] = []
    try:
        for work in others:
            try:
                workers.append(_Worker(work, take))
            except OSError:
                break
        yield own(_dealt(take))
        for worker in workers:
            try:
                yield worker.result()
            except EOFError:
                raise LockcfgError(
                    f"one of the processes of the {whose} ended before its work was done",
                    help=help,
                ) from None
    finally:
        while os.read(take, MOST_JOBS):
            pass  # after an error: no more work for the others
        os.close(take)
        # Close every pipe before waiting for any process: one process may hold another's pipe.
        for worker in workers:
            worker.close()
        for worker in workers:
            worker.wait()


def _dealt(take: int) -> Iterator[int]:
    """The numbers of jobs that no other worker took, as long as there are any."""
    while number := os.read(take, 1):
        yield number[0]


class _Worker:
    """A process beside this one that works out one thing."""

    def __init__(self, work: Work[object], take: int) -> None:
        self._read, write = os.pipe()
        try:
            self._pid = os.fork()
        except OSError:
            os.close(self._read)
            os.close(write)
            raise
        if not self._pid:
            os.close(self._read)
            _work_and_exit(work, take, write)
        os.close(write)

    def result(self) -> Any:
        """What it worked out. Raises :class:`EOFError` if it ended before."""
        import pickle

        with open(self._read, "rb", closefd=False) as stream:
            try:
                return pickle.load(stream)  # noqa: S301 - it is our own
            except pickle.UnpicklingError:
                raise EOFError from None

    def close(self) -> None:
        """Stop reading: if it still has something to tell, it ends."""
        os.close(self._read)

    def wait(self) -> None:
        """Wait for its end, so that nothing is left of it."""
        os.waitpid(self._pid, 0)


def _work_and_exit(work: Work[object], take: int, write: int) -> NoReturn:
    """What a worker does. It shares buffers of output with its parent and must not flush them."""
    import pickle
    import signal
    import sys

    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # the parent speaks for both
        with open(write, "wb") as stream:
            pickle.dump(work(_dealt(take)), stream, pickle.HIGHEST_PROTOCOL)
    except (BrokenPipeError, KeyboardInterrupt):
        pass  # the parent has given up
    except BaseException:  # noqa: BLE001 - whatever it is, it ends here
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(0)
