"""The runs of ``runs.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proofs.spin import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Run:
    """A model, the macros that are defined in it, and whether it has to hold."""

    model: str
    title: str
    name: str
    define: tuple[str, ...]
    holds: bool
    why: str

    def __str__(self) -> str:
        return f"{self.model}: {self.name}"


def runs() -> Iterator[Run]:
    """All runs, by model, first what has to hold."""
    with (MODELS / "runs.toml").open("rb") as stream:
        models = tomllib.load(stream)
    for model, told in models.items():
        for kind in ("holds", "breaks"):
            for run in told[kind]:
                define = tuple(run["define"])
                yield Run(model, told["title"], run["name"], define, kind == "holds", run["why"])
