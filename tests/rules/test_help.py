"""The help of the rules of hosts and of repositories: typed as it says, the finding is gone.

Rules that ``lockcfg validate`` runs are tried in ``tests/conf/test_help.py``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest

from lockcfg.rules import TABLE, VALIDATING, rule_module
from tests.rules.test_manuals import Case, cases_of, run

if TYPE_CHECKING:
    from collections.abc import Callable

    Typing = Callable[[re.Match[str]], "dict[str, dict[str, str]]"]


def _in_a_directory_for_locks(_: re.Match[str]) -> dict[str, dict[str, str]]:
    return {"qemu-lockd.conf": {"file_lockspace_dir": '"/srv/locks/files"'}}


#: What a help says, and what a user types who follows it: of files the settings, '' for none.
#: No settings at all mean that the file's mode is set.
FOLLOWED: Final[dict[str, tuple[str, Typing]]] = {
    "lk201_no_lock_manager": (
        r"say 'lockcfg enable', or set lock_manager = (\"lockd\")",
        lambda said: {"qemu.conf": {"lock_manager": said[1]}},
    ),
    "lk202_lock_manager_off": (
        r"say '(lockcfg enable)'; if it is off on purpose, waive this with the reason",
        lambda _: {"qemu.conf": {"lock_manager": '"lockd"'}},
    ),
    "lk203_lockd_not_in_use": (
        r"say 'lockcfg enable', or set lock_manager = (\"lockd\")",
        lambda said: {"qemu.conf": {"lock_manager": said[1]}},
    ),
    "lk204_dead_lockspace": (
        r"set auto_disk_leases = (1), which is the default",
        lambda said: {"qemu-lockd.conf": {"auto_disk_leases": said[1]}},
    ),
    "lk205_sample_trap": (
        r"take both lines out, unless every guest has <lease> elements",
        lambda _: {"qemu-lockd.conf": {"auto_disk_leases": "", "require_lease_for_disks": ""}},
    ),
    "lk206_no_leases": (
        r"set auto_disk_leases = (1), which is the default",
        lambda said: {"qemu-lockd.conf": {"auto_disk_leases": said[1]}},
    ),
    "lk207_block_devices_direct": (
        r"if guests have block devices as disks, set (\w+) to a directory that all hosts mount",
        lambda said: {"qemu-lockd.conf": {said[1]: '"/srv/locks/files"'}},
    ),
    "lk208_lockspace_path": (
        r"write the plain path, and restart with it while no guest is running",
        _in_a_directory_for_locks,
    ),
    "lk209_lockspaces_shared": (
        r"give each of them a directory of its own, next to the others",
        _in_a_directory_for_locks,
    ),
    "lk210_lockspace_local_path": (
        r"use a directory on a file system that all hosts mount",
        _in_a_directory_for_locks,
    ),
    "lk211_lockspace_in_images": (
        r"use a directory that holds nothing but locks",
        _in_a_directory_for_locks,
    ),
    "lk214_scsi_lockspace_alone": (
        r"if guests have logical volumes as disks, set (\w+) as well",
        lambda said: {"qemu-lockd.conf": {said[1]: '"/srv/locks/lvm"'}},
    ),
    "lk301_max_clients_too_small": (
        (
            r"set max_clients = (\d+) in (virtlockd.conf); a running virtlockd takes it from"
            r" 'virt-admin -c virtlockd:///system srv-clients-set virtlockd --max-clients \1', not"
            r" from a reload"
        ),
        lambda said: {said[2]: {"max_clients": said[1]}},
    ),
    "lk303_max_clients_descriptors": (
        (
            r"raise LimitNOFILE with .* and say so in the option descriptor-limit, or lower"
            r" max_clients to (\d+)"
        ),
        lambda said: {"virtlockd.conf": {"max_clients": said[1]}},
    ),
    "lk401_password_tracked": (
        r"change the password, take it out here, and let what installs the file put the new one in",
        lambda _: {"qemu.conf": {"vnc_password": ""}},
    ),
    "lk402_password_readable": (
        (
            r"let root alone read it: chmod 600 qemu.conf; in a repository, keep it in an encrypted"
            r" file \(ansible-vault, SOPS\)"
        ),
        lambda _: {},
    ),
    "lk506_sanlock_without_watchdog": (
        r"write use_watchdog = (1), and have wdmd run",
        lambda said: {"sanlock.conf": {"use_watchdog": said[1]}},
    ),
}

#: Whose help cannot be typed into a file of this host: what it is about lies elsewhere.
ELSEWHERE: Final = {
    "lk109_version": "the libvirt that the files are for",
    "lk110_stock_lens": "a consequence: the fix mends it",
    "lk212_lockspace_label": "the label of the directory",
    "lk215_lockfailure_ignored": "the lock daemon, or libvirt's description of a guest",
}


def written(case: Case, settings: dict[str, dict[str, str]]) -> Case:
    """The case with some settings of its files written, or their mode set."""
    files = dict(case.files)
    for name, values in settings.items():
        text = files.get(name, b"").decode()
        for key, value in values.items():
            line = f"{key} = {value}\n" if value else ""
            text, replaced = re.subn(rf"^{key}\b.*\n", line, text, flags=re.MULTILINE)
            text += "" if replaced else line
        files[name] = text.encode()
    return case._replace(files=files, mode=case.mode if settings else 0o600)


def test_no_rule_is_left_out() -> None:
    """Each rule of a file or of a host is tried here or there, or named with the reason."""
    looked_at = {name for name, scope in TABLE.items() if scope in ("file", "host")}
    assert looked_at == {*VALIDATING, *FOLLOWED, *ELSEWHERE}


@pytest.mark.parametrize("name", FOLLOWED)
def test_who_follows_the_help_has_no_finding(name: str) -> None:
    """Neither that one nor an error of any other rule."""
    said, typing = FOLLOWED[name]
    module = rule_module(name)
    for case in cases_of(module, "Example"):
        found = run(module, case)
        assert found
        for each in found:
            match = re.fullmatch(said, each.finding.help)
            assert match is not None, each.finding.help
            mended = written(case, typing(match))
            assert mended != case
            assert run(module, mended) == []
            for other in FOLLOWED:
                if TABLE[other] == "host" and "qemu.conf" not in mended.files:
                    continue
                left = [more.finding for more in run(rule_module(other), mended)]
                assert [finding for finding in left if finding.severity == "error"] == []
