"""Whole clusters in one process: the real daemon on hosts, a server and a network in memory, in an
order that a seed decides.

    python -m tests.simulation --schedules 10000

What is real: ``lockd/wire``, ``rpc``, ``programs/lock``, ``locks``, ``survival``,
``kernel/filelock.py``, ``kernel/statx.py``, and how the daemon puts them together, starts, takes
over and ends. What is not: the calls of the system (:mod:`tests.simulation.kernel`), the file
systems behind them (:mod:`tests.simulation.files`), the loop, threads, the service manager
(:mod:`tests.simulation.host`), libvirt and the guests (:mod:`tests.simulation.guests`).

A call of the system is a *step*. At each, the daemon may be killed, or others may go on before it
does. :mod:`tests.simulation.cluster` decides, and looks after every turn whether two guests may
write one disk, and whether a guest writes one whose lock is not held for it.
"""
