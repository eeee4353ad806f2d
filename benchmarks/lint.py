"""``lockcfg lint`` of a fleet, against md5sum and against a loop over augtool.

The fleet: hosts of four files each, as libvirt ships them with the protection switched on; 95 %
of the hosts are alike, and each of the others differs from all in one setting.
"""

from __future__ import annotations

import os
import random
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.side_by_side import Command, Result, compare

if TYPE_CHECKING:
    from collections.abc import Iterator

#: libvirt's own lens for each file of a host.
LENSES = {
    "qemu.conf": "Libvirtd_qemu.lns",
    "qemu-lockd.conf": "Libvirt_lockd.lns",
    "libxl-lockd.conf": "Libvirt_lockd.lns",
    "virtlockd.conf": "Virtlockd.lns",
}

#: How many hosts the loop over augtool looks at. It takes as long for each.
SAMPLE = 75

#: What makes a host unlike the others: a file, a setting in it, and its least value.
ODD = (
    ("qemu.conf", "max_files", 32768),
    ("qemu.conf", "max_processes", 32768),
    ("virtlockd.conf", "max_clients", 4097),
    ("virtlockd.conf", "admin_max_clients", 6),
)


def benchmarks(
    lockcfg: str, directory: str, runs: int, hosts: int
) -> Iterator[tuple[str, Result, str]]:
    """The rows of the table: what is run, against what, and what is wanted."""
    tree = os.path.join(directory, "fleet")
    make_fleet(tree, hosts)
    files = len(LENSES) * hosts

    def lint(_: int) -> Command:
        return [lockcfg, "lint", tree]

    def md5sum(_: int) -> Command:
        return ["sh", "-c", f"find {tree} -type f | xargs md5sum | sort | uniq -c"]

    result = compare(lint, md5sum, max(10, runs // 2))
    yield f"`lint`, {files} files, and `md5sum`", result, "at most 1"

    sample = min(SAMPLE, hosts)
    each = "; ".join(
        f'augtool -r . -A -t "{lens} incl /$host/etc/libvirt/{name}" match /augeas//error'
        for name, lens in LENSES.items()
    )

    def augtool_loop(_: int) -> Command:
        loop = f"cd {tree} && for host in $(ls | head -n {sample}); do {each}; done"
        return ["sh", "-c", loop]

    result = compare(lint, augtool_loop, max(10, runs // 2))
    yield (
        f"the same, and `augtool` in a loop, for {len(LENSES) * sample} files of them",
        _of_as_many(result, sample / hosts),
        "at most 0.02",
    )


def memory(lockcfg: str, directory: str, hosts: int) -> list[tuple[int, float]]:
    """The peak memory in MiB of the largest process, for a tenth of ``hosts``, all alike, and
    for all of them."""
    rows: list[tuple[int, float]] = []
    for number in (hosts // 10, hosts):
        tree = os.path.join(directory, f"alike-{number}")
        make_fleet(tree, number, odd=0)
        quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
        pid = os.posix_spawn(lockcfg, [lockcfg, "lint", tree], os.environ, file_actions=quiet)
        _, status, usage = os.wait4(pid, 0)
        if status:
            raise SystemExit("lockcfg lint failed, or found something")
        rows.append((len(LENSES) * number, usage.ru_maxrss / 1024))
    return rows


def make_fleet(tree: str, hosts: int, *, odd: float = 0.05) -> None:
    """The fleet, the same on every run; ``odd`` is the part of the hosts that are unlike."""
    rng = random.Random(20_261)
    alike: dict[str, str] = {}
    for name in LENSES:
        with open(f"/etc/libvirt/{name}", encoding="utf-8") as file:
            alike[name] = file.read()
    alike["qemu.conf"] = _set(alike["qemu.conf"], "lock_manager", '"lockd"')
    lockspace = '"/srv/locks/files"'
    alike["qemu-lockd.conf"] = _set(alike["qemu-lockd.conf"], "file_lockspace_dir", lockspace)
    alike["virtlockd.conf"] = _set(alike["virtlockd.conf"], "max_clients", "4096")
    for number in range(hosts):
        texts = dict(alike)
        if rng.random() < odd:
            name, key, least = rng.choice(ODD)
            texts[name] = _set(texts[name], key, str(least + number))
        directory = os.path.join(tree, f"kvm{number:05}", "etc/libvirt")
        os.makedirs(directory)
        for name, text in texts.items():
            with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
                file.write(text)


def _set(text: str, key: str, value: str) -> str:
    """``text`` with a setting that was there, perhaps as a comment, set to ``value``."""
    text, count = re.subn(rf"^#?{key} = .*$", f"{key} = {value}", text, count=1, flags=re.MULTILINE)
    if not count:
        raise SystemExit(f"libvirt's sample has no {key}")
    return text


def _of_as_many(result: Result, part: float) -> Result:
    """The result for as many files as theirs, where theirs looked at a ``part`` of ours."""
    return replace(
        result,
        ours=result.ours * part,
        ratio=result.ratio * part,
        least=result.least * part,
        greatest=result.greatest * part,
    )
