"""YAML and JSON, whatever they are meant for."""

from __future__ import annotations

import contextlib

from tests.fuzz.running import guided, run

with guided("lockcfg", "yaml"):
    from lockcfg import ReadError
    from lockcfg.yamlschema import load_yaml, plain


def TestOneInput(data: bytes) -> None:  # noqa: N802
    """What it says is plain, and not more than there is room for; or it is refused."""
    with contextlib.suppress(ReadError):
        plain(load_yaml(data, "input"), "input")


if __name__ == "__main__":
    run(TestOneInput)
