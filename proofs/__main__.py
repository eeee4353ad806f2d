"""Check every model and every mutant.

    python -m proofs             print a table, and compare it with that page
    python -m proofs --page      print the page of the documentation: the table, and the traces

The exit status is 1 if a model does not hold, if a mutant does, if what has to happen does not, and
if the page says otherwise; it is 3 if Spin cannot check one.
"""

from __future__ import annotations

import sys
from itertools import groupby
from typing import TYPE_CHECKING

from proofs.runs import lives, runs
from proofs.spin import MODELS, SpinError, check, never_happens

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from proofs.runs import Run
    from proofs.spin import Verdict

#: What the documentation says of all runs.
PAGE: Final = MODELS.parent / "docs/reference/proof-traces.md"

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
    page = "" if arguments else PAGE.read_text()
    checked: list[tuple[Run, Verdict]] = []
    try:
        for run in runs():
            verdict = check(run.model, run.define, deadlocks=run.holds)
            as_expected = as_expected and verdict.holds == run.holds
            checked.append((run, verdict))
            if not arguments:
                says = "holds" if verdict.holds else "breaks"
                sys.stdout.write(f"{says:7}{verdict.states:>9} states  {run}")
                if verdict.holds != run.holds:
                    sys.stdout.write("  NOT AS EXPECTED")
                elif _row(run, verdict) not in page:
                    as_expected = False
                    sys.stdout.write("  NOT AS THE PAGE SAYS")
                sys.stdout.write("\n")
                sys.stdout.flush()
        for life in lives():
            for what in never_happens(life.model, life.defines, life.happens):
                as_expected = False
                sys.stderr.write(f"{life.model}: NEVER HAPPENS: {what}\n")
    except SpinError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    if arguments:
        sys.stdout.writelines(_page(checked))
    return 0 if as_expected else 1


def _page(checked: list[tuple[Run, Verdict]]) -> Iterator[str]:
    happens = {life.model: life.happens for life in lives()}
    yield _HEAD
    for title, group in groupby(checked, key=lambda each: each[0].title):
        told = [*group]
        model = told[0][0].model
        yield f"\n## {title}\n\nThe model: `proofs/{model}.pml`.\n"
        yield "\n| run | Spin says | states | why |\n|---|---|---:|---|\n"
        yield from (_row(run, verdict) for run, verdict in told)
        yield "\nBesides each of its statements, this happens in the model:\n\n"
        yield from (f"- {what}\n" for what in happens[model])
        for run, verdict in told:
            if not verdict.holds:
                yield f"\n### {run.name[0].upper()}{run.name[1:]}\n\n```text\n"
                yield "".join(f"{line}\n" for line in verdict.trace)
                yield "```\n"


def _row(run: Run, verdict: Verdict) -> str:
    says = "holds" if verdict.holds else "breaks"
    return f"| {run.name} | {says} | {verdict.states:,} | {run.why} |\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
