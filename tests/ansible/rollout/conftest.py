"""What the tests of the collection start from: the collection as it is built and installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent.parent
PROGRAMS = Path(sys.executable).parent


@pytest.fixture(scope="session")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the collection is installed, from what ``ansible-galaxy collection build`` makes."""
    directory = tmp_path_factory.mktemp("collections")
    galaxy = (PROGRAMS / "ansible-galaxy", "collection")
    environment = {**os.environ, "ANSIBLE_HOME": str(directory / "home")}
    for command in (
        (*galaxy, "build", ROOT / "ansible", "--output-path", directory),
        (*galaxy, "install", "--offline", "--collections-path", directory, "lockcfg.tar.gz"),
    ):
        if "install" in command:
            (built,) = directory.glob("*.tar.gz")
            built.rename(directory / "lockcfg.tar.gz")
        done = subprocess.run(
            command, cwd=directory, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    return directory
