"""Which of the tests with guests are run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.real.scenarios import FEW_SCENARIOS

if TYPE_CHECKING:
    import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out scenarios, where few are asked for."""
    if not config.getoption("few_scenarios"):
        return
    left_out = [item for item in items if _scenario(item) not in (None, *FEW_SCENARIOS)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _scenario(item: pytest.Item) -> object:
    callspec = getattr(item, "callspec", None)
    return None if callspec is None else callspec.params.get("scenario")
