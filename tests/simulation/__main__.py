"""``python -m tests.simulation``: run schedules, and tell of the first that breaks, shrunk."""

from __future__ import annotations

import argparse
import sys

from tests.simulation.run import first_failure, shrunk, told


def main() -> int:
    """Exit status 1 where one breaks."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=10_000, metavar="N", help="how many")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the first of the seeds")
    parser.add_argument(
        "--no-shrinking", action="store_true", help="say which one breaks, and no more"
    )
    parser.add_argument(
        "--narrow",
        action="store_true",
        help="in half of the runs have few things go wrong, but these often",
    )
    arguments = parser.parse_args()
    seeds = range(arguments.seed, arguments.seed + arguments.schedules)
    failure = first_failure(seeds, may_be_narrow=arguments.narrow)
    if failure is None:
        print(f"{arguments.schedules} schedules from seed {arguments.seed} on: nothing breaks")
        return 0
    print(told(failure if arguments.no_shrinking else shrunk(failure)))
    return 1


if __name__ == "__main__":
    sys.exit(main())
