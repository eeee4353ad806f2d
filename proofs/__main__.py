"""Check every model and every mutant.

    python -m proofs             print a table
    python -m proofs --page      print the page of the documentation: the table, and the traces

The exit status is 1 if a model does not hold or a mutant does, and 3 if Spin cannot check one.
"""

from __future__ import annotations

import sys
from itertools import groupby
from typing import TYPE_CHECKING

from proofs.runs import runs
from proofs.spin import SpinError, check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proofs.runs import Run
    from proofs.spin import Verdict

_HEAD = """# What Spin has found

For readers who want to see the evidence: every run of the models in `proofs/`, as `python -m proofs
--page` prints it. [Why no disk is written by two guests](../explanation/proofs.md) tells what the
models say. A mutant is a model without one of its steps; Spin finds where that leads, in a shortest
run where it is about safety.
"""


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    if arguments not in ([], ["--page"]):
        sys.stderr.write("usage: python -m proofs [--page]\n")
        return 2
    as_expected = True
    checked: list[tuple[Run, Verdict]] = []
    for run in runs():
        try:
            verdict = check(run.model, run.define, deadlocks=run.holds)
        except SpinError as error:
            sys.stderr.write(f"{error}\n")
            return 3
        as_expected = as_expected and verdict.holds == run.holds
        checked.append((run, verdict))
        if not arguments:
            says = "holds" if verdict.holds else "breaks"
            mark = "" if verdict.holds == run.holds else "  NOT AS EXPECTED"
            sys.stdout.write(f"{says:7}{verdict.states:>9} states  {run}{mark}\n")
            sys.stdout.flush()
    if arguments:
        sys.stdout.writelines(_page(checked))
    return 0 if as_expected else 1


def _page(checked: list[tuple[Run, Verdict]]) -> Iterator[str]:
    yield _HEAD
    for title, group in groupby(checked, key=lambda each: each[0].title):
        told = [*group]
        yield f"\n## {title}\n\nThe model: `proofs/{told[0][0].model}.pml`.\n"
        yield "\n| run | Spin says | states | why |\n|---|---|---:|---|\n"
        for run, verdict in told:
            says = "holds" if verdict.holds else "breaks"
            yield f"| {run.name} | {says} | {verdict.states:,} | {run.why} |\n"
        for run, verdict in told:
            if not verdict.holds:
                yield f"\n### {run.name[0].upper()}{run.name[1:]}\n\n```text\n"
                yield "".join(f"{line}\n" for line in verdict.trace)
                yield "```\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
