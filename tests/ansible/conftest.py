"""What the tests of the collection start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.ansible.playing import Controller

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def controller(tmp_path: Path) -> Controller:
    """A controller with the collection of this repository."""
    directory = tmp_path / "controller"
    directory.mkdir()
    return Controller(directory)


@pytest.fixture
def long_run() -> None:
    """The test is for long runs."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is for long runs."""
    if config.getoption("exhaustive"):
        return
    left_out = [item for item in items if "long_run" in getattr(item, "fixturenames", ())]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
