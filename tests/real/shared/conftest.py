"""What the tests on shared file systems start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.real.shared.contest import build_hammer

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def hammer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guest that takes and releases a resource as fast as it can."""
    return build_hammer(tmp_path_factory.mktemp("hammer"))
