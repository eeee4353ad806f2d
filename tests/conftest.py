"""Options of the test run."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Longer runs are asked for by name: they look at more of the same."""
    parser.addoption(
        "--exhaustive", action="store_true", help="every key of a schema, not a sample of them"
    )
    parser.addoption(
        "--generated-files",
        type=int,
        default=20_000,
        metavar="N",
        help="how many generated files the lens and libvirt's parser are compared on",
    )
    parser.addoption(
        "--seed", type=int, default=20_261, metavar="N", help="what they are generated from"
    )
