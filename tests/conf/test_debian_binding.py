"""Debian's own binding of Augeas, which is older than the pinned one on some releases, reads what
the pinned one reads. Debian 12 has one without sets of nodes (``lockcfg/conf/nodesets.py``)."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.real.generate import Generator

if TYPE_CHECKING:
    import pytest

PROJECT = Path(__file__).parent.parent.parent

#: Says of each text on its input what it reads.
READER = """
import json, sys
sys.path.insert(0, sys.argv[1])
from lockcfg.conf.files import QEMU
from lockcfg.conf.tree import read_entries
from lockcfg.errors import ConfSyntaxError

def read(text):
    try:
        entries = read_entries(text, QEMU, "qemu.conf")
    except ConfSyntaxError as error:
        return ascii(str(error))
    spans = [[(span.start, span.end) for span in (e.key_span, e.value_span)] for e in entries]
    return ascii([(e.key, e.value, e.literal, e.comment, *at) for e, at in zip(entries, spans)])

found = [read(text.encode("latin-1")) for text in json.load(sys.stdin)]
json.dump({"binding": sys.modules["augeas"].__file__, "found": found}, sys.stdout)
"""


def test_it_reads_what_the_pinned_one_reads(pytestconfig: pytest.Config) -> None:
    """Generated files, sound and broken: every setting, where it is, and what is wrong."""
    generator = Generator(random.Random(pytestconfig.getoption("--seed")))
    texts = [generator.text().decode("latin-1") for _ in range(1000)]
    pinned, debian = (
        json.loads(
            subprocess.run(
                [python, "-I", "-c", READER, PROJECT],
                input=json.dumps(texts),
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            ).stdout
        )
        for python in (sys.executable, "/usr/bin/python3")
    )
    assert debian["binding"].startswith("/usr/lib/python3/dist-packages/")
    assert pinned["binding"] != debian["binding"]
    pairs = zip(texts, pinned["found"], debian["found"], strict=True)
    assert [text for text, ours, theirs in pairs if ours != theirs] == []
    assert sum(found.startswith("[") for found in pinned["found"]) > 300
