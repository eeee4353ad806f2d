"""What the heartbeats of many hosts in one lockspace cost.

All hosts' heartbeats are written from here, each as its lockd writes it, one after the other: what
a file server has to do in an interval. Then some are judged, as ``lockcfg who`` does.
"""

from __future__ import annotations

import os
import time

from lockcfg.who.heartbeat import DIRECTORY, life_of
from lockd.daemon.heartbeat import SIZE, write

#: How often a host writes, in seconds: what the documentation advises.
INTERVAL = 30


def run(directory: str, hosts: int) -> None:
    """Print the table."""
    space = os.path.join(directory, "lockspace")
    os.mkdir(space)
    names = [f"kvm{number:05d}.example.com" for number in range(hosts)]
    content = {"lockd": 1, "boot": "0" * 36, "pid": 1, "interval": INTERVAL}
    for name in names:
        write(space, name, {**content, "host": name, "time": time.time()})
    begun, used = time.perf_counter(), time.process_time()
    for name in names:
        write(space, name, {**content, "host": name, "time": time.time()})
    written, used = time.perf_counter() - begun, time.process_time() - used
    asked = names[:: max(1, hosts // 100)]
    begun = time.perf_counter()
    for name in asked:
        assert life_of(name, space, me=names[0]).verdict == "live"
    judged = (time.perf_counter() - begun) / len(asked)
    files = os.path.join(space, DIRECTORY)
    size = os.stat(files).st_size
    print(f"| {hosts} hosts in one lockspace, a heartbeat every {INTERVAL} s | measured |")
    print("|---|---|")
    print(f"| to write all of them once | {written:.2f} s, {used:.2f} s of a processor |")
    print(f"| of each interval that is | {100 * used / INTERVAL:.1f} % of a processor |")
    print(f"| writes a second | {hosts / INTERVAL:.0f} of {SIZE} bytes |")
    print(f"| on the disk | {hosts * SIZE / 1e6:.1f} MB, and a directory of {size / 1e6:.1f} MB |")
    print(f"| to judge one host | {1e6 * judged:.0f} µs |")
