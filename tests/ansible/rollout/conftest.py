"""What the tests of the collection start from: the collection as it is built and installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.ansible.playing import install

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the collection is installed, from what ``ansible-galaxy collection build`` makes."""
    return install(tmp_path_factory.mktemp("collections"))


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
