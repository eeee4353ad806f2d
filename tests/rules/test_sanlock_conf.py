"""sanlock.conf in the linter: each way in which the daemon reads it otherwise than people do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from lockcfg.conf.files import SANLOCK
from lockcfg.conf.load import parse
from lockcfg.conf.sanlock import in_force
from lockcfg.rules import check
from tests.lint import codes, lint, write

if TYPE_CHECKING:
    from pathlib import Path

MISREAD = [
    "use_watchdog = yes",
    "use_watchdog = true",
    "use_watchdog = off",
    'use_watchdog = "1"',
    "use_watchdog = 2",
    "use_watchdog = 0x1",
    "use_watchdog",
    "use_watchdog 1",
    "use_watchdog =",
    "use_watchdog: 1",
    " use_watchdog = 1",
    "mlock_level = 3",
    "mlock_level = -1",
    "max_worker_threads = 1",
    "write_init_io_timeout = 0",
    "renewal_history_size = 4k",
    'our_host_name = "kvm01"',
    "our_host_name = kvm 01",
    "our_host_name = 'kvm 01'",
    "our_host_name =",
    f"our_host_name = {'x' * 49}",
    "max_sectors_kb = none",
    "debug_cmd = all",
    f"# {'x' * 124} use_watchdog = 0"[:127] + "use_watchdog = 0",
    "no line of it",
    "[sanlock]",
]
RIGHT = [
    "",
    "\n\n \t\n",
    "use_watchdog=1",
    "use_watchdog\t=\t0 # for a test\nuse_aio = +1",
    "our_host_name = kvm01 # the first",
    "uname = sanlock\r\ngname = 105\r\n",
    "debug_cmd = +all\ndebug_cmd = -inq_lockspace",
    "max_sectors_kb = align",
    "quiet_fail = 01",
    f"# {'x' * 200}",
    "  # a comment behind blanks",
]


@pytest.mark.parametrize("line", MISREAD)
def test_what_is_read_otherwise_is_found_and_its_help_helps(line: str) -> None:
    """Typed as the help says, the line is read as it is written."""
    document = parse(f"{line}\n".encode(), SANLOCK, "sanlock.conf")
    found = [each for each in check(document) if each.rule == "sanlock-misread"]
    assert len(found) == 1, found
    assert found[0].help
    written = re.match(r"(?:write|for example) (\w+ = [^\s,]+)", found[0].help)
    if written:
        mended = parse(f"{written[1]}\n".encode(), SANLOCK, "sanlock.conf")
        assert check(mended) == []
        ((key, value),) = in_force(mended).items()
        assert f"{key} = {value}" == written[1]


@pytest.mark.parametrize("text", RIGHT)
def test_what_is_read_as_it_is_written(text: str) -> None:
    assert check(parse(text.encode(), SANLOCK, "sanlock.conf")) == []


def test_the_file_is_linted_wherever_it_is_and_is_no_host(tmp_path: Path) -> None:
    """It has a directory of its own beside libvirt's; in one with libvirt's it is found as well."""
    write(
        tmp_path,
        {
            "kvm01/etc/libvirt/qemu.conf": 'lock_manager = "lockd"\n',
            "kvm01/etc/sanlock/sanlock.conf": "use_watchdg = 1\nhost_id = 4\n",
            "kvm02/qemu.conf": 'lock_manager = "lockd"\nuse_watchdog = 1\n',
            "kvm02/sanlock.conf": "sh_retries = 8\nsh_retries = 9\nuse_watchdog = 0\n",
            "kvm03/sanlock.conf": "use_watchdog = {{ watchdog }}\n",
        },
    )
    result = lint(tmp_path, ignore=["LK2"])
    assert codes(result) == ["LK102", "LK103", "LK103", "LK104", "LK506"]
    assert (result.files, result.hosts) == (4, 2)
    assert [note for _, note in result.notes] == ["a template, passed over"]


def test_a_waiver_counts(tmp_path: Path) -> None:
    text = "# lockcfg: ignore[LK506] a test bed\nuse_watchdog = 0\n"
    write(tmp_path, {"sanlock.conf": text})
    result = lint(tmp_path)
    assert [each.suppression is not None for each in result.diagnostics] == [True]
