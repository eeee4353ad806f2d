"""What a host tells now, and did not tell before, in words. Pure.

What is compared is what the fleet store has of two snapshots: the facts that decide the locking,
and the circumstances. A change of anything else is none.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, Final

#: What follows from other facts, or says where something stands.
_DERIVED: Final = frozenset(("lines", "place", "mounted", "setting"))

#: Directories, by what they are for.
_DIRECTORIES: Final = {
    "spaces": "lockspace",
    "spare": "lockspace",
    "storages": "storage",
    "leases": "lease directory",
}

#: The circumstances, in words; what stands behind the word goes into the braces.
_CIRCUMSTANCES: Final = {
    "limit": "its lock daemon allows {0} clients",
    "stale": "{0} is newer than {1}",
    "runs": "{0} runs",
    "lockfailure": "guests ask for on_lockfailure: {0}",
    "absent": "{0} does not run",
    "late": "guests are older than {0}",
    "asleep": "{0} does not run, and its files are newer",
    "named": "its snapshot is called {0}",
}

#: How a value is shown that is missing or empty.
_NOTHING: Final = "nothing"

#: The longest value that is shown.
_LONGEST: Final = 100


def changes_of(old: tuple[str, str], new: tuple[str, str]) -> list[str]:
    """What has changed of a host, of which facts and circumstances are given as JSON."""
    before, after = (dict(_flat(json.loads(facts))) for facts, _ in (old, new))
    found = []
    for name in sorted(before.keys() | after.keys()):
        was, now = _shown(before.get(name)), _shown(after.get(name))
        # Something empty of a directory that is new is nothing new.
        if before.get(name) != after.get(name) and (was, now) != (_NOTHING, _NOTHING):
            found.append(f"{name}: {now}, was {was}")
    earlier, later = (json.loads(circumstances) for _, circumstances in (old, new))
    found += [_circumstance(each) for each in later if each not in earlier]
    found += [f"no longer: {_circumstance(each)}" for each in earlier if each not in later]
    return found


def _flat(facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in facts.items():
        if name in _DERIVED:
            continue
        if name in _DIRECTORIES:
            for directory in value:
                yield from _directory(_DIRECTORIES[name], directory)
        elif name == "settings":
            yield from value.items()
        elif name == "others":
            for driver, (settings, spaces) in value.items():
                for member, told in _flat({"settings": settings, "spaces": spaces}):
                    yield f"{driver} {member}", told
        elif isinstance(value, dict):
            for member, told in value.items():
                if member == "directory":
                    yield from _directory(f"{name} {member}", told)
                else:
                    yield f"{name} {member}", told
        else:
            yield name, value


def _directory(what: str, directory: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    label = f"{what} {directory['path']}"
    yield label, "there"
    for member, told in directory.items():
        if member not in _DERIVED and member != "path":
            yield f"{label} {member}", told
    yield f"{label} is on", directory["place"].get("system")
    yield f"{label} inode", directory["place"].get("inode")


def _shown(value: Any) -> str:
    """A value in words: a list as its members, one of several parts as those with spaces."""
    if isinstance(value, list):
        text = ", ".join(
            " ".join(map(str, each)) if isinstance(each, list) else str(each) for each in value
        )
    else:
        text = value if isinstance(value, str) else json.dumps(value)
    if value is None or not text:
        return _NOTHING
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _circumstance(text: str) -> str:
    word, *rest = text.split("|")
    words = _CIRCUMSTANCES.get(word)
    return words.format(*rest, "") if words else text.replace("|", " ")
