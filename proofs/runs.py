"""What ``runs.toml`` has: runs, and what has to happen."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from proofs.spin import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


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


@dataclass(frozen=True)
class Life:
    """What has to ``happen`` in a model with one of some lists of macros: names, and what they
    stand for in Promela."""

    model: str
    defines: tuple[tuple[str, ...], ...]
    happens: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.model}: what has to happen"


def lives() -> Iterator[Life]:
    """One for each model."""
    for model, told in _models().items():
        yield Life(model, tuple(map(tuple, told["lives"])), told["happens"])


def _models() -> dict[str, Any]:
    with (MODELS / "runs.toml").open("rb") as stream:
        return tomllib.load(stream)


def runs() -> Iterator[Run]:
    """All runs, by model, first what has to hold."""
    for model, told in _models().items():
        for kind in ("holds", "breaks"):
            for run in told[kind]:
                define = tuple(run["define"])
                yield Run(model, told["title"], run["name"], define, kind == "holds", run["why"])
