"""What the daemon needs of the system, and whether it has it."""

from __future__ import annotations

import os
import resource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: How many descriptors a guest takes: its connection, a lock for each of three disks, and its
#: process where that is watched; and how many the daemon takes for itself.
_FOR_EACH_GUEST: Final = 5
_OWN: Final = 64

#: The bits of capabilities(7), and what goes wrong without each.
_CAPABILITIES: Final = {
    "CAP_KILL": (5, "lockd cannot end a guest that has lost its connection, so its locks stay"),
    "CAP_DAC_OVERRIDE": (1, "disks and lock files of other users cannot be locked"),
}

#: The value of oom_score_adj (-1000 to 1000) from which the kernel is likely to kill this process
#: when memory runs out; 0 is the default.
_UNPROTECTED: Final = 0


def lacks(max_clients: int) -> list[str]:
    """What the daemon lacks, each as a sentence: descriptors for the allowed number of clients and,
    for a daemon of root, capabilities."""
    found = []
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    need = _FOR_EACH_GUEST * max_clients + _OWN
    if limit != resource.RLIM_INFINITY and limit < need:
        found.append(
            f"At most {limit} files may be open, and {max_clients} guests with three disks each"
            f" need {need}: raise the limit (LimitNOFILE= of the unit, ulimit -Hn), or lower"
            " max_clients."
        )
    if os.geteuid() == 0:
        found += _missing_capabilities()
        score = _oom_score()
        if score is not None and score >= _UNPROTECTED:
            found.append(
                "When memory runs out, the kernel may end this process (oom_score_adj is"
                f" {score}): set OOMScoreAdjust= of the unit, or start it with CAP_SYS_RESOURCE."
            )
    return found


def _missing_capabilities() -> list[str]:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            (line,) = (line for line in file if line.startswith("CapEff:"))
    except (OSError, ValueError):
        return ["The capabilities of this process are unknown: /proc/self/status cannot be read."]
    effective = int(line.split()[1], 16)
    return [
        f"{name} is missing: {what}."
        for name, (bit, what) in _CAPABILITIES.items()
        if not effective >> bit & 1
    ]


def _oom_score() -> int | None:
    try:
        with open("/proc/self/oom_score_adj", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None  # a kernel without it
