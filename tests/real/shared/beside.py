"""The run of the virtual machine, in a process of its own, which the tests go on beside.

    python -m tests.real.shared.beside PLAN SECONDS

PLAN is that of :mod:`tests.real.shared.in_machine`, whose report is printed; after SECONDS it is
given up.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tests.real.shared.contest import build_hammer
from tests.real.shared.machine import Machine

if TYPE_CHECKING:
    from typing import Final

#: Where the unpacked packages stay from one run to the next.
UNPACKED: Final = Path(__file__).parents[3] / ".vm"


def main(text: str, seconds: str) -> None:
    """Boot the machine, and print what came of the plan."""
    plan = json.loads(text)
    with TemporaryDirectory(prefix="machine-") as name:
        directory = Path(name)
        if "contests" in plan:
            plan["contests"]["hammer"] = str(build_hammer(directory))
        said = Machine(UNPACKED).run(
            directory,
            *(sys.executable, "-m", "tests.real.shared.in_machine", json.dumps(plan)),
            timeout=float(seconds),
        )
    sys.stdout.write(said)


if __name__ == "__main__":
    main(*sys.argv[1:])
