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
