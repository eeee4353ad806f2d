"""The versions, built once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.skew.wheels import NOW, PAST, Version, build

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.fixture(scope="session")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Version]:
    """Each version by its commit, and this one."""
    directory = tmp_path_factory.mktemp("wheels")
    return {name: build(name, directory) for name in (*PAST, NOW)}
