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
