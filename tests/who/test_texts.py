"""Every text that a person can be told of a lock is known, with what it means and what to do.

lockd's are taken from its source, libvirt's from the plugin and the daemon that are installed, and
QEMU's from QEMU: a text that a later release adds fails here until it is known.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lockd
from lockcfg.who.texts import TEXTS, texts_in
from tests.who import refused_by_qemu

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(lockd.__file__).parent

#: The functions of lockd that make an error, and which of their arguments is its text.
MAKERS = {"fault": 2, "system_fault": 1, "PlantedError": 0}


def sample(node: ast.expr) -> str:
    """A text as a person may see it: what is cut in is a word that could be there."""
    if isinstance(node, ast.JoinedStr):
        return "".join(sample(each) for each in node.values)
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.FormattedValue):
        name = ast.unparse(node.value)
        if name == "what":
            return "open"
        if name == "owner":
            return "guest 'web' (uuid 00000000-0000-0000-0000-000000000000, pid 42)"
        return "7" if re.search(r"pid|number|status|signed|program|version", name) else "/srv/x"
    return ""


def texts_of_lockd() -> Iterator[tuple[str, str]]:
    """Where each text is made, and a sample of it."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            at = MAKERS.get(node.func.id)
            if at is None or len(node.args) <= at:
                continue
            text = sample(node.args[at])
            if text:  # else it is a text that another of these has made
                yield f"{path.relative_to(SOURCE)}:{node.lineno}", text


LOCKD = list(texts_of_lockd())


@pytest.mark.parametrize(("where", "text"), LOCKD, ids=[where for where, _ in LOCKD])
def test_every_error_of_lockd_is_known(where: str, text: str) -> None:
    """With what it means, and what to do."""
    found = texts_in(f"error: {text}")
    assert found, f"{where}: {text}"
    assert all(each.means and each.help for each in found)


def test_the_errors_of_lockd_were_found() -> None:
    """In its source, which may look otherwise one day."""
    assert len(LOCKD) > 30
    assert any("is locked" in text for _, text in LOCKD)
    assert any("no lock file" in text for _, text in LOCKD)


def strings_of(path: Path) -> list[str]:
    """The texts in a program, as strings(1) finds them."""
    data = path.read_bytes()
    return [each.decode() for each in re.findall(rb"[\x20-\x7e\n]{12,}", data)]


def plugin() -> Path:
    """libvirt's lockd plugin."""
    (found,) = Path("/usr/lib").glob("*/libvirt/lock-driver/lockd.so")
    return found


def shown(text: str) -> str:
    """A text of libvirt's with something in the places of its arguments."""
    return re.sub(r"%(?:\d+\$)?-?\d*l{0,2}[a-z]", "7", text.replace("0x%x", "0x8"))


#: What an error of the plugin is not: a line of its debug log, a symbol, a copyright.
NO_ERRORS = re.compile(r"^(version=|GCC:|_|\.|virt|/)|^[^ ]*$|^[a-z_]+=%")


def test_every_error_of_the_plugin_is_known() -> None:
    """Of the release that is installed."""
    texts = [text for text in strings_of(plugin()) if " " in text and not NO_ERRORS.search(text)]
    assert any("no leases specified" in text for text in texts)
    unknown = [text for text in texts if not texts_in(f"error: {shown(text)}")]
    assert unknown == []


#: What virtlockd says of locks; the rest of its texts are about its start.
OF_LOCKS = re.compile(r"ockspace (?:for|resource)|lock owner|lock manager connection|default lock")


def test_what_virtlockd_says_of_locks_is_known() -> None:
    """Of the release that is installed."""
    texts = [text for text in strings_of(Path("/usr/sbin/virtlockd")) if OF_LOCKS.search(text)]
    assert len(texts) > 3
    assert [text for text in texts if not texts_in(f"error: {shown(text)}")] == []


def test_what_qemu_says_of_its_own_locks(tmp_path: Path) -> None:
    """By a real one, that finds an image open."""
    with refused_by_qemu(tmp_path / "disk.raw") as said:
        found = texts_in(said)
    assert [each.layer for each in found] == ["qemu"] * len(found)
    assert found


def test_a_text_that_nobody_knows() -> None:
    """It is not taken for one of them."""
    assert texts_in("error: no domain with matching name 'web'") == []


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.means)
def test_what_to_do_is_never_to_delete_a_lock_file(text: object) -> None:
    """Nor to switch locking off."""
    words = text.help  # type: ignore[attr-defined]
    assert "rm " not in words
    assert "lock_manager" not in words
    assert "delete" not in words.replace("never delete", "")
