"""The tables of ``docs/explanation/performance.md``.

    python -m benchmarks [config | lint | audit | watch | ansible | locks | sanlock | heartbeats]
                         [--runs N] [--files N] [--hosts N]

``config``: ``get`` and ``set`` on a full copy of /etc against augtool as libvirt's documentation
calls it; ``validate`` of a tree of real-sized qemu.conf, no two of them the same, against a shell
loop over augtool with nothing but the stock lens; commands that only print against ``get``; large
files against libvirt's own parser. ``lint``: :mod:`benchmarks.lint`. ``audit``:
:mod:`benchmarks.audit`. ``watch``: :mod:`benchmarks.watch`. ``ansible``, which is long and runs
only if it is named: :mod:`benchmarks.ansible_run`. ``locks``, as root: :mod:`benchmarks.locks`.
``sanlock``, as root, which waits for minutes and runs only if it is named:
:mod:`benchmarks.sanlock`.
``heartbeats``: :mod:`benchmarks.heartbeats`.
"""

from __future__ import annotations

import argparse
import compileall
import os
import shutil
import sys
import tempfile
from typing import TYPE_CHECKING

import lockcfg
import lockd
from benchmarks import ansible_run, audit, heartbeats, lint, locks, sanlock, watch
from benchmarks.side_by_side import Command, Result, compare

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LOCKCFG = os.path.join(os.path.dirname(sys.executable), "lockcfg")
LOCKD_CONF = "/files/etc/libvirt/qemu-lockd.conf"


def main() -> None:
    """Run the benchmarks and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--runs", type=int, default=21, help="runs of each command (default: 21)")
    parser.add_argument(
        "--files", type=int, default=1000, help="files in the tree to validate (default: 1000)"
    )
    parser.add_argument(
        "--hosts", type=int, default=10_000, help="hosts in a fleet (default: 10000)"
    )
    parser.add_argument(
        "what",
        nargs="?",
        choices=("config", "lint", "audit", "watch", "ansible", "locks", "sanlock", "heartbeats"),
        help="(default: all)",
    )
    arguments = parser.parse_args()
    # What is installed is compiled; a checkout may be kept from it (PYTHONDONTWRITEBYTECODE).
    for program in (lockcfg.__file__, lockd.__file__):
        compileall.compile_dir(os.path.dirname(program), quiet=1)
    with tempfile.TemporaryDirectory(prefix="lockcfg-benchmark-") as directory:
        if arguments.what in (None, "config"):
            _print("augtool", _benchmarks(directory, arguments.runs, arguments.files))
            _print("`get`", _starts(directory, arguments.runs))
            _print("libvirt", _large(directory, arguments.runs))
        if arguments.what in (None, "lint"):
            _print(
                "the other", lint.benchmarks(LOCKCFG, directory, arguments.runs, arguments.hosts)
            )
            print("| `lint` of hosts that are all alike | peak memory |")
            print("|---|---|")
            for files, mebibytes in lint.memory(LOCKCFG, directory, arguments.hosts):
                print(f"| {files} files | {mebibytes:.1f} MiB |")
        if arguments.what in (None, "audit"):
            rows = audit.benchmarks(LOCKCFG, directory, arguments.runs, arguments.hosts)
            _print("`md5sum \\| sort \\| uniq -c`", rows)
            print(f"| `audit` of {arguments.hosts} hosts | peak memory |")
            print("|---|---|")
            for name, mebibytes in audit.memory(LOCKCFG, directory):
                print(f"| from the {name} | {mebibytes:.1f} MiB |")
            print()
        if arguments.what in (None, "watch"):
            watch.run(directory, arguments.hosts, max(5, arguments.runs // 2))
        if arguments.what == "ansible":
            ansible_run.run(directory, arguments.hosts)
        if arguments.what in (None, "locks"):
            locks.run(max(10, arguments.runs // 2))
        if arguments.what == "sanlock":
            sanlock.run()
        if arguments.what in (None, "heartbeats"):
            heartbeats.run(directory, 2 * arguments.hosts)


def _print(other: str, rows: Iterable[tuple[str, Result, str]]) -> None:
    print(f"| command | lockcfg | {other} | ratio (range) | wanted |")
    print("|---|---|---|---|---|")
    for name, result, wanted in rows:
        print(
            f"| {name} | {result.ours:.0f} ms | {result.theirs:.0f} ms "
            f"| {result.ratio:.3f} ({result.least:.3f} to {result.greatest:.3f}) | {wanted} |",
            flush=True,
        )
    print()


def _benchmarks(directory: str, runs: int, files: int) -> Iterator[tuple[str, Result, str]]:
    root = os.path.join(directory, "root")
    shutil.copytree("/etc", os.path.join(root, "etc"), symlinks=True)
    augtool = ["augtool", "-r", root]

    def get(_: int) -> Command:
        return [LOCKCFG, "get", "--root", root, "lock_manager"]

    def augtool_get(_: int) -> Command:
        return [*augtool, "get", "/files/etc/libvirt/qemu.conf/lock_manager"]

    yield "`get lock_manager`", compare(get, augtool_get, runs), "at most 0.08"

    # Each run writes another directory than the one before it, or there would be no write.
    def set_(number: int) -> Command:
        return [LOCKCFG, "set", "--root", root, "file_lockspace_dir", f"/locks/a{number}"]

    def augtool_set(number: int) -> Command:
        return [*augtool, "-s", "set", f"{LOCKD_CONF}/file_lockspace_dir", f"/locks/b{number}"]

    yield "`set file_lockspace_dir`", compare(set_, augtool_set, runs), "at most 0.12"

    tree = os.path.join(directory, "tree")
    _make_tree(tree, files)
    loop = (
        f"cd {tree} && for host in *; do augtool -r . -A"
        ' -t "Libvirtd_qemu.lns incl /$host/qemu.conf" match /augeas//error; done'
    )

    def validate(_: int) -> Command:
        return [LOCKCFG, "validate", tree]

    def augtool_loop(_: int) -> Command:
        return ["sh", "-c", loop]

    result = compare(validate, augtool_loop, max(10, runs // 2))
    yield f"`validate`, {files} × qemu.conf", result, "at most 0.125"


def _starts(directory: str, runs: int) -> Iterator[tuple[str, Result, str]]:
    """What only prints, and the linter on one file, against ``get``."""
    root = os.path.join(directory, "root")
    conf = os.path.join(root, "etc/libvirt/qemu.conf")

    def get(_: int) -> Command:
        return [LOCKCFG, "get", "--root", root, "lock_manager"]

    for words in (
        *(["--version"], ["--help"], ["lint", "--help"], ["rules"], ["explain", "LK101"]),
        *(["schema"], ["schema", "qemu.conf"], ["schema", "lock_manager"], ["completion", "bash"]),
    ):

        def prints(_: int, words: list[str] = words) -> Command:
            return [LOCKCFG, *words]

        yield f"`{' '.join(words)}`", compare(prints, get, runs), "at most 1"

    def lint_one(_: int) -> Command:
        return [LOCKCFG, "lint", conf]

    yield "`lint` of one qemu.conf", compare(lint_one, get, runs), "at most 1.5"


def _large(directory: str, runs: int) -> Iterator[tuple[str, Result, str]]:
    """``get`` from a large file, against a process in which libvirt's own parser reads it."""
    elements = ",\n".join(f'  "/dev/null{number}"' for number in range(40_000))
    texts = {
        "a list of 40,000": f"cgroup_device_acl = [\n{elements}\n]\n",
        "20,000 settings": "".join(f'key{each} = "value {each}"\n' for each in range(20_000)),
    }
    for name, text in texts.items():
        root = os.path.join(directory, name.replace(" ", "-"))
        conf = os.path.join(root, "etc/libvirt/qemu.conf")
        os.makedirs(os.path.dirname(conf))
        with open(conf, "w", encoding="utf-8") as file:
            file.write(text)

        def get(_: int, root: str = root) -> Command:
            return [LOCKCFG, "get", "--root", root, "max_core"]

        def libvirt(_: int, conf: str = conf) -> Command:
            return [sys.executable, "-c", _PARSE, conf]

        yield f"`get` from {name}", compare(get, libvirt, max(5, runs // 4)), "at most 2"


#: libvirt's parser, called as the tests call it.
_PARSE = """
import ctypes, sys
library = ctypes.CDLL("libvirt.so.0")
library.virConfReadString.argtypes = (ctypes.c_char_p, ctypes.c_uint)
library.virConfReadString.restype = ctypes.c_void_p
with open(sys.argv[1], "rb") as file:
    assert library.virConfReadString(file.read(), 0)
"""


def _make_tree(tree: str, files: int) -> None:
    """``files`` hosts' qemu.conf of the size libvirt ships it in, no two the same."""
    with open("/etc/libvirt/qemu.conf", encoding="utf-8") as file:
        sample = file.read()
    for key in ("lock_manager", "user", "group", "max_files", "cgroup_controllers", "namespaces"):
        sample = sample.replace(f"\n#{key} =", f"\n{key} =")
    for number in range(files):
        directory = os.path.join(tree, f"kvm{number:05}")
        os.makedirs(directory)
        text = sample.replace("\nmax_files = 0", f"\nmax_files = {1024 + number}")
        with open(os.path.join(directory, "qemu.conf"), "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main()
