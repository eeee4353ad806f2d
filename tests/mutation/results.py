"""What came out, by module, and why a mutant may survive."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from tests.mutation.mutants import Mutant
    from tests.mutation.running import Outcome

    Key = tuple[str, str, str, str]

_HERE: Final = Path(__file__).parent
_RESULTS: Final = _HERE / "results.json"


def explained() -> dict[Key, str]:
    """Why a mutant survives, by its key."""
    told = tomllib.loads((_HERE / "survivors.toml").read_text())
    return {
        (each["module"], each["function"], each["was"], each["becomes"]): each["why"]
        for each in told.get("survivor", ())
    }


def kept() -> dict[str, Any]:
    """What came out last."""
    found: dict[str, Any] = json.loads(_RESULTS.read_text())
    return found


def survivors() -> set[Key]:
    """The keys of those that survived."""
    return {
        (module, function, was, becomes)
        for module, result in kept().items()
        for function, was, becomes in result["survivors"]
    }


def keep(found: Mapping[Mutant, Outcome], *, is_again: bool) -> None:
    """Keep what came out of modules in the place of what came out before; where some were tried
    ``again``, beside it."""
    everything = kept() if _RESULTS.exists() else {}
    for module in dict.fromkeys(each.module for each in found):
        of_it = {each: what for each, what in found.items() if each.module == module}
        count = Counter(of_it.values())
        result = {
            "mutants": len(of_it),
            "noticed": count["killed"] + count["endless"],
            "not tried": count["not tried"],
            "survivors": [each.key[1:] for each, what in of_it.items() if what == "survives"],
        }
        if is_again:
            before = everything[module]
            result["mutants"] = before["mutants"]
            result["noticed"] += before["noticed"]
            result["not tried"] += before["not tried"]
        everything[module] = result
    text = json.dumps(dict(sorted(everything.items())), indent=1)
    _RESULTS.write_text(text + "\n")
