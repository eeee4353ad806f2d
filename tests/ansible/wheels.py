"""Wheels of what is installed here, for a host that has no package index."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution, distribution
from typing import TYPE_CHECKING

from tests.ansible.playing import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def make_wheels(directory: Path) -> None:
    """The wheel of lockcfg, and those of what it needs, in ``directory``."""
    directory.mkdir()
    build = (sys.executable, "-m", "build", "--wheel", "--no-isolation")
    subprocess.run([*build, "--outdir", directory, PROJECT], check=True, capture_output=True)
    for each in _needed(distribution("lockcfg")):
        _pack(each, directory)


def _needed(top: Distribution) -> Iterator[Distribution]:
    seen: set[str] = set()
    waiting = list(top.requires or ())
    while waiting:
        requirement = waiting.pop()
        found = re.match(r"[A-Za-z0-9._-]+", requirement)
        assert found is not None, requirement
        if found[0] in seen or "extra ==" in requirement:
            continue
        seen.add(found[0])
        there = distribution(found[0])
        waiting += there.requires or ()
        yield there


def _pack(one: Distribution, directory: Path) -> None:
    """Put the files of a package into a wheel, as they were in the one that it came from."""
    about = one.read_text("WHEEL")
    assert about is not None
    tag = re.findall(r"^Tag: (\S+)$", about, re.MULTILINE)[0]
    name = re.sub(r"[-_.]+", "_", one.metadata["Name"])
    record = info = ""
    path = directory / f"{name}-{one.version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file in one.files or ():
            inside = str(file)
            # What pip has made itself, and the bytecode of others.
            if inside.startswith("..") or inside.endswith(
                (".pyc", "INSTALLER", "REQUESTED", "direct_url.json")
            ):
                continue
            if inside.endswith(".dist-info/RECORD"):
                info = inside
                continue
            data = one.locate_file(file).read_bytes()  # type: ignore[attr-defined]
            wheel.writestr(inside, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record += f"{inside},sha256={digest},{len(data)}\n"
        wheel.writestr(info, f"{record}{info},,\n")
