"""The plan of ``lockcfg plan`` as a page to work with: you can tick steps off and print it."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter

from lockcfg.fleet.policy.host_ranges import fold
from lockcfg.report.audit.pages import content_policy, environment, text_of
from lockcfg.report.audit.plan import in_order, works_of
from lockcfg.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

    from lockcfg.fleet.plan.steps import Plan, Step
    from lockcfg.report.audit.plan import LeftOut


def write_page(plan: Plan, left_out: LeftOut, stream: TextIO, *, now: int) -> None:
    """Write the page of a plan that was made at ``now``, in seconds since the epoch."""
    style = text_of("page.css")
    stream.write(
        environment()
        .get_template("plan.html.jinja")
        .render(
            groups=[
                (group, [_step(step) for step in steps])
                for group, steps in groupby(plan.steps, key=lambda step: step.group)
            ],
            covered=[(finding, ", ".join(fold(finding.hosts))) for finding in plan.covered],
            uncovered=[(finding, ", ".join(fold(finding.hosts))) for finding in plan.uncovered],
            left_out=left_out,
            missing=", ".join(fold(left_out.missing)),
            old=", ".join(fold(left_out.old)),
            when=datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M UTC"),
            version=VERSION,
            style=style,
            policy=content_policy(style),
        )
    )


def _step(step: Step) -> dict[str, Any]:
    """A step as the template shows it. The order of hosts is the order of the work."""
    return {
        "said": step,
        "hosts": in_order(step.hosts, most=None)
        if step.action == "restart"
        else ", ".join(fold(step.hosts)),
        "works": [
            (
                "" if set(hosts) == set(step.hosts) else ", ".join(fold(hosts)),
                [command for commands, _ in works for command in commands],
            )
            for hosts, works in groupby(works_of(step), key=itemgetter(1))
        ],
    }
