"""``python -m tests.mutation``: change the code in one place, and see whether a test notices.

Without modules, all of the targets are tried. What comes out is kept in ``results.json``, by
module. A mutant that survives and is no flaw of the tests is in ``survivors.toml``, with the
reason. The exit status is 1 if one survives that is not there.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from typing import TYPE_CHECKING

from tests.mutation.changes import changed_lines
from tests.mutation.mutants import mutants_of
from tests.mutation.results import explained, keep, survivors
from tests.mutation.running import Trial, modules_of, targets, used

if TYPE_CHECKING:
    from tests.mutation.mutants import Mutant
    from tests.mutation.running import Outcome


def main() -> int:
    """Try them; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="a module, by its path")
    parser.add_argument(
        "--changed",
        action="store_true",
        help="only the lines that this branch changes; prints the score and judges nothing",
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="only those that survived the last time, to be tried again",
    )
    parser.add_argument(
        "--seconds", type=float, metavar="N", help="how much of the processor to use, about"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="which ones, if not all")
    arguments = parser.parse_args()
    known = modules_of(targets())
    wrong = [each for each in arguments.modules if each not in known]
    if wrong:
        parser.error(f"no target in tests/mutation/targets.toml names {wrong[0]}")
    modules = arguments.modules or [*known]
    if arguments.changed:
        lines, told = changed_lines()
        chosen = [
            mutant
            for module in modules
            if module in lines
            for mutant in mutants_of(module)
            if mutant.line in lines[module]
        ]
        print(f"{told}: {len(chosen)} mutants", flush=True)
    else:
        chosen = [mutant for each in modules for mutant in mutants_of(each)]
    if arguments.again:
        before = survivors()
        chosen = [each for each in chosen if each.key in before]
    if arguments.seconds:
        # In an order of chance, as what is left of the time may be too little for all.
        random.Random(arguments.seed).shuffle(chosen)
    found = tried(chosen, arguments.seconds)
    if not arguments.changed and not arguments.seconds:
        keep(found, is_again=arguments.again)
    reasons = explained()
    unknown = [
        each for each, what in found.items() if what == "survives" and each.key not in reasons
    ]
    return int(bool(unknown) and not arguments.changed)


def tried(mutants: list[Mutant], seconds: float | None) -> dict[Mutant, Outcome]:
    """What becomes of mutants, tried for as long as there is time."""
    known = modules_of(targets())
    reasons = explained()
    begun = used()
    trials: dict[int, Trial] = {}
    found: dict[Mutant, Outcome] = {}
    for mutant in mutants:
        if seconds is not None and used() - begun > seconds:
            break
        target = known[mutant.module]
        trial = trials.get(id(target)) or trials.setdefault(id(target), Trial(target))
        found[mutant] = outcome = trial.outcome(mutant)
        if outcome == "survives":
            print(f"{mutant.module}:{mutant.line}: {mutant.function} survives")
            print(f"    {mutant.was}\n    {mutant.becomes}")
            print(f"    {reasons.get(mutant.key, 'NOT EXPLAINED')}", flush=True)
    count = Counter(found.values())
    noticed = count["killed"] + count["endless"]
    left = len(mutants) - len(found)
    print(
        f"{noticed} of {len(found) - count['not tried']} mutants are noticed"
        + (f", {left} more were not tried" if left else "")
    )
    return found


if __name__ == "__main__":
    sys.exit(main())
