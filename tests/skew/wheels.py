"""The wheels of this project's own past, built from its history as they were."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

_PROJECT: Final = Path(__file__).parent.parent.parent

#: Commits whose formats differ: the first lockd that could be upgraded, with stores and snapshots
#: of version 1; one with stores of version 1 and lockd in packages; one with snapshots of version 2
#: and stores of version 3.
PAST: Final = ("ff874d5", "3585964", "59a7c16")
#: What is in the work tree.
NOW: Final = "now"


class Version:
    """An installed wheel."""

    def __init__(self, site: Path) -> None:
        self.site: Final = site

    def command(self, program: str) -> list[str]:
        """How ``lockcfg`` or ``lockd`` of this version is started. ``site`` may be a link, which
        leads to another version later."""
        start = f"import sys; sys.path.insert(0, {str(self.site)!r}); sys.argv[0] = {program!r}"
        return [sys.executable, "-B", "-c", f"{start}; from {program}.main import entry; entry()"]

    def run(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a program of this version."""
        return subprocess.run(
            [*self.command(program), *arguments], capture_output=True, text=True, timeout=120
        )


def build(name: str, directory: Path) -> Version:
    """Build the wheel of a commit, or of what is in the work tree, and install it below a
    directory."""
    source, site = directory / f"{name}.source", directory / f"{name}.site"
    source.mkdir()
    if name == NOW:
        listed = ("git", "-C", _PROJECT, "ls-files", "-z")
        pack = ("tar", "-C", _PROJECT, "-c", "--null", "--files-from=-", "--ignore-failed-read")
        files = subprocess.run(listed, check=True, capture_output=True).stdout
        archive = subprocess.run(pack, input=files, check=True, capture_output=True).stdout
    else:
        command = ("git", "-C", _PROJECT, "archive", name)
        archive = subprocess.run(command, check=True, capture_output=True).stdout
    subprocess.run(("tar", "-x", "-C", source), input=archive, check=True)
    wheels = directory / name
    builder = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", wheels)
    subprocess.run((*builder, source), check=True, capture_output=True)
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(site)
    return Version(site)
