"""The policy of a fleet, a file in YAML."""

from __future__ import annotations

import contextlib

from tests.fuzz.running import guided, run

with guided("lockcfg"):
    from lockcfg import ReadError, UsageError
    from lockcfg.fleet.policy.policy import policy_from
    from lockcfg.yamlschema import load_yaml


def TestOneInput(data: bytes) -> None:  # noqa: N802
    """It is taken, or refused with the place."""
    with contextlib.suppress(ReadError, UsageError):
        policy_from(load_yaml(data, "fleet.yaml"), "fleet.yaml", data)


if __name__ == "__main__":
    run(TestOneInput)
