"""``python -m tests.mutation``: change the code in one place, and see whether a test notices.

Without modules, all of the targets are tried. What comes out is kept in ``results.json``, by
module. A mutant that survives and is no flaw of the tests is in ``survivors.toml``, with the
reason. The exit status is 1 if one survives that is not there.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections import Counter
from typing import TYPE_CHECKING

from tests.mutation.changes import changed_lines
from tests.mutation.mutants import mutants_of
from tests.mutation.results import explained, keep, survivors
from tests.mutation.running import modules_of, targets, used
from tests.mutation.running import tried as try_mutants

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def _in_time(mutants: list[Mutant], until: float | None) -> Iterator[Mutant]:
    """Mutants until so much of the processor is used."""
    for mutant in mutants:
        if until is not None and used() > until:
            return
        yield mutant


def tried(mutants: list[Mutant], seconds: float | None) -> dict[Mutant, Outcome]:
    """What becomes of mutants, tried for as long as there is time."""
    reasons = explained()
    found: dict[Mutant, Outcome] = {}
    # What the tests write goes nowhere.
    out = os.fdopen(os.dup(1), "w")

    def tell(mutant: Mutant, outcome: Outcome) -> None:
        found[mutant] = outcome
        if outcome == "survives":
            print(f"{mutant.module}:{mutant.line}: {mutant.function} survives", file=out)
            print(f"    {mutant.was}\n    {mutant.becomes}", file=out)
            print(f"    {reasons.get(mutant.key, 'NOT EXPLAINED')}", file=out, flush=True)

    begun = used()
    left = len(mutants)
    every = targets()
    known = modules_of(every)
    for target in every:
        of_it = [each for each in mutants if known[each.module] is target]
        if of_it:
            # A target gets what is its part of the time that is left.
            until = used() + (seconds - used() + begun) * len(of_it) / left if seconds else None
            try_mutants(target, _in_time(of_it, until), tell)
            left -= len(of_it)
    out.close()
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
