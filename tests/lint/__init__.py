"""What the tests of the linter share: trees of files, and runs over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lockcfg.lint.engine import Linter
from lockcfg.lint.settings import LintSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from lockcfg.lint.result import LintResult

#: A host of which nothing is to be said.
CLEAN = {
    "qemu.conf": 'lock_manager = "lockd"\n',
    "qemu-lockd.conf": 'file_lockspace_dir = "/srv/locks/files"\n',
}


def write(top: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files, by their paths below ``top``, with the directories they are in."""
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return top


def host(directory: str, **changes: str) -> dict[str, str]:
    """The files of a clean host in ``directory``; ``qemu`` and ``qemu_lockd`` change them."""
    files = {f"{directory}/{name}": text for name, text in CLEAN.items()}
    for name, text in changes.items():
        files[f"{directory}/{name.replace('_', '-')}.conf"] = text
    return files


def lint(top: Path, paths: Iterable[Path] = (), **settings: Any) -> LintResult:
    """A run over all that is below ``top``, or over ``paths``."""
    run = LintSettings(str(top), **settings)
    return Linter(run).run([str(path) for path in paths] or [str(top)])


def codes(result: LintResult, *, suppressed: bool = False) -> list[str]:
    """The codes of the findings that count, or of those that are suppressed."""
    return [d.code for d in result.diagnostics if (d.suppression is not None) == suppressed]


def paths(result: LintResult, top: Path) -> list[str]:
    """Where the findings that count are, below ``top``."""
    return [d.finding.path.removeprefix(f"{top}/") for d in result.counted]
