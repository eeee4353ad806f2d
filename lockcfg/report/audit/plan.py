"""The plan of ``lockcfg plan``, for a person and as JSON."""

from __future__ import annotations

from itertools import groupby

from lockcfg.report import terminal
from lockcfg.report.audit.text import folded
from lockcfg.report.terminal import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from lockcfg.fleet.plan import Step


def write_text(steps: Sequence[Step], missing: Sequence[str]) -> None:
    """Numbered steps, group by group."""
    out = terminal.stdout()
    for group, of_group in groupby(steps, key=lambda step: step.group):
        out.line(out.style(escape(group), "bold"))
        for number, step in enumerate(of_group, 1):
            gap = out.style(" (a gap)", "error") if step.gap else ""
            out.line(f"{number:3}. {step.action}{gap}: {folded(step.hosts)}")
            out.line(f"     {escape(step.text)}")
            for detail in step.details:
                out.line(f"     - {escape(detail)}")
        out.line()
    if missing:
        out.line(f"No snapshot, and no plan, for {folded(missing)}")
    if not steps:
        out.line("nothing to do: the hosts are what the policy says")


def write_json(steps: Sequence[Step], missing: Sequence[str]) -> None:
    """The steps in order, as ``schemas/output.schema.json`` describes."""
    from lockcfg.report import jsonreport

    jsonreport.write(
        {
            "steps": [
                {
                    "group": step.group,
                    "action": step.action,
                    "hosts": list(step.hosts),
                    "text": step.text,
                    "details": list(step.details),
                    "gap": step.gap,
                }
                for step in steps
            ],
            "missing": list(missing),
        }
    )
