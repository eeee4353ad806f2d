"""Roots of Debian on this machine: those in which the packages are tried."""

from __future__ import annotations

import platform
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Final

_PROGRAM: Final = Path(__file__).parent.parent / "packaging/test-packages"


def packages() -> Any:
    """``packaging/test-packages``, which makes the roots and builds the packages."""
    loader = SourceFileLoader("packages_of_debian", str(_PROGRAM))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def this_release() -> str:
    """The code name of the release that runs here."""
    return platform.freedesktop_os_release()["VERSION_CODENAME"]
