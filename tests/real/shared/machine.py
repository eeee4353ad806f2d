"""A virtual machine with a stock Debian kernel, whose root is this machine's root, read-only.

The kernel, busybox and the NFS server come from Debian packages that are unpacked and not
installed. The guest mounts this machine's files through virtiofs and lays an overlay in memory
over them: every program here runs there too, under the same path, and nothing that the guest
writes stays. It runs one command and is switched off. There is no network but inside the guest.

The processor is emulated: the test machines' KVM runs firmware but no stock kernel.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

_KERNEL: Final = "linux-image-cloud-amd64"
_PACKAGES: Final = ("busybox-static", "nfs-kernel-server")

#: Shares files with the guest: a program of its own, or what QEMU had before there was one.
_VIRTIOFSD: Final = {
    "/usr/libexec/virtiofsd": (
        "--shared-dir=/",
        "--no-announce-submounts",
        "--sandbox=chroot",
        "--cache=always",
    ),
    "/usr/lib/qemu/virtiofsd": ("-f", "-o", "source=/,sandbox=chroot,cache=always"),
}

#: What the first process needs before it sees this machine's files, and what it names itself.
_MODULES: Final = ("virtio_pci", "virtio_console", "virtiofs", "overlay")

_MEMORY: Final = "1G"

_INIT: Final = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
for module in {modules}; do modprobe "$module"; done
mount -t virtiofs -o ro root /machine
mount -t tmpfs tmpfs /layer
mkdir /layer/upper /layer/work
mount -t overlay -o lowerdir=/machine,upperdir=/layer/upper,workdir=/layer/work overlay /root
mount --move /proc /root/proc
mount --move /dev /root/dev
exec switch_root /root /bin/sh {directory}/boot
"""

# Of the programs only those that are the guest's own business are the packages'.
_BOOT: Final = """\
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:{unpacked}/usr/sbin
export LC_ALL=C PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={python_path}
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mkdir -p /lib/modules
mount --bind {unpacked}/lib/modules /lib/modules
# The kernel loads modules by itself, and calls this. kmod's needs an index of the modules, which
# busybox does not make.
ln -sf {unpacked}/bin/busybox /sbin/modprobe
ip link set lo up
cd {current}
exec >"$(echo /dev/vport*)"
sh {directory}/command </dev/null 2>&1
echo "exit status $?"
{unpacked}/bin/busybox poweroff -f
"""


class MachineError(Exception):
    """The machine did not come up, or its command failed; says what was on its console."""


class Machine:
    """A machine that can be booted. ``directory`` keeps the packages, from one run to the next."""

    def __init__(self, directory: Path) -> None:
        self._unpacked: Final = _unpack(directory)

    def run(self, directory: Path, *command: str | Path, timeout: float) -> str:
        """Boot, run ``command`` in this directory, switch off; return what the command said.

        ``directory`` takes the files of this boot. ``timeout`` is in seconds and includes the
        boot. Raises :class:`MachineError` when the command fails or the time is over.
        """
        self._write_initramfs(directory)
        (directory / "command").write_text(shlex.join(map(str, command)))
        (directory / "boot").write_text(
            _BOOT.format(
                unpacked=self._unpacked,
                directory=directory,
                current=shlex.quote(os.getcwd()),
                python_path=shlex.quote(os.environ.get("PYTHONPATH", "")),
            )
        )
        output = directory / "output"
        console = directory / "console"
        with self._files(directory) as files:
            qemu = subprocess.Popen(
                self._qemu(directory, files, output, console), stdin=subprocess.DEVNULL
            )
            try:
                qemu.wait(timeout)
            except subprocess.TimeoutExpired:
                pass
            finally:
                qemu.kill()
                qemu.wait()
        said, _, status = output.read_text(errors="replace").rpartition("exit status ")
        if status.strip() != "0":
            kernel = console.read_text(errors="replace") if console.exists() else ""
            raise MachineError(
                f"{shlex.join(map(str, command))}: exit status {status.strip() or '-'}\n"
                f"{said}\nThe console:\n{kernel}"
            )
        return said

    @contextlib.contextmanager
    def _files(self, directory: Path) -> Iterator[Path]:
        """The socket at which this machine's root is offered."""
        socket = directory / "files.sock"
        program = next(filter(os.path.exists, _VIRTIOFSD))
        daemon = subprocess.Popen(
            [program, f"--socket-path={socket}", *_VIRTIOFSD[program]],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            while not socket.exists():
                if daemon.poll() is not None:
                    assert daemon.stderr is not None
                    raise MachineError(f"virtiofsd: {daemon.stderr.read()}")
            yield socket
        finally:
            daemon.kill()
            daemon.communicate()

    def _qemu(self, directory: Path, files: Path, output: Path, console: Path) -> list[str]:
        return [
            *("qemu-system-x86_64", "-machine", "q35", "-nodefaults", "-no-user-config"),
            *("-display", "none", "-no-reboot", "-smp", "2", "-m", _MEMORY),
            *("-accel", "tcg,thread=multi", "-cpu", "max"),
            *("-kernel", str(_kernel_in(self._unpacked))),
            *("-initrd", str(directory / "initramfs")),
            *("-append", "console=ttyS0 quiet panic=-1 mitigations=off nokaslr no_timer_check"),
            *("-serial", f"file:{console}", "-device", "virtio-rng-pci"),
            *("-object", f"memory-backend-memfd,id=memory,size={_MEMORY},share=on"),
            *("-numa", "node,memdev=memory"),
            *("-chardev", f"socket,id=files,path={files}"),
            *("-device", "vhost-user-fs-pci,chardev=files,tag=root"),
            *("-chardev", f"file,id=output,path={output}", "-device", "virtio-serial-pci"),
            *("-device", "virtserialport,chardev=output"),
        ]

    def _write_initramfs(self, directory: Path) -> None:
        root = directory / "root"
        for name in ("bin", "sbin", "proc", "dev", "machine", "layer", "root"):
            (root / name).mkdir(parents=True)
        busybox = self._unpacked / "bin/busybox"
        shutil.copy(busybox, root / "bin/busybox")
        (modules,) = (self._unpacked / "lib/modules").iterdir()
        target = root / modules.relative_to(self._unpacked)
        needed = _with_dependencies(modules / "modules.dep", _MODULES)
        for module in [*needed, *(path.name for path in modules.glob("modules.*"))]:
            (target / module).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(modules / module, target / module)
        init = root / "init"
        init.write_text(_INIT.format(modules=" ".join(_MODULES), directory=directory))
        init.chmod(0o755)
        names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
        with (directory / "initramfs").open("wb") as archive:
            subprocess.run(
                [busybox, "cpio", "-o", "-H", "newc"],
                cwd=root,
                input=names.encode(),
                stdout=archive,
                stderr=subprocess.DEVNULL,
                check=True,
            )


def _unpack(directory: Path) -> Path:
    """Where the packages are unpacked, below ``directory``: a place for each kernel."""
    (kernel,) = (each for each in _depends(_KERNEL) if each.startswith("linux-image-"))
    release = kernel.removeprefix("linux-image-")
    unpacked = directory / kernel
    modules = unpacked / "lib/modules" / release
    # Made last.
    if (modules / "modules.dep").exists():
        return unpacked
    shutil.rmtree(unpacked, ignore_errors=True)
    packages = unpacked / "packages"
    packages.mkdir(parents=True)
    # Newer releases have the kernel and its modules in packages of their own.
    parts = [each for each in _depends(kernel) if each.endswith(release)]
    download = ["apt-get", "download", "-qq", kernel, *parts, *_PACKAGES]
    if subprocess.run(download, cwd=packages, capture_output=True).returncode:
        # What apt knows may be older than what there is.
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(download, cwd=packages, check=True)
    for package in packages.glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", package, unpacked], check=True)
    shutil.rmtree(packages)
    # As on a system whose /usr is merged, whichever way a release's packages are.
    for name in ("bin", "lib", "sbin"):
        (unpacked / "usr" / name).mkdir(exist_ok=True)
        if (unpacked / name).exists():
            shutil.copytree(
                unpacked / name, unpacked / "usr" / name, symlinks=True, dirs_exist_ok=True
            )
            shutil.rmtree(unpacked / name)
        (unpacked / name).symlink_to(f"usr/{name}")
    subprocess.run([unpacked / "bin/busybox", "depmod", "-b", unpacked, modules.name], check=True)
    return unpacked


def _kernel_in(unpacked: Path) -> Path:
    """The kernel among what is unpacked: newer releases have it with its modules."""
    (found,) = (
        path
        for pattern in ("boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz")
        for path in unpacked.glob(pattern)
    )
    return found


def _depends(package: str) -> list[str]:
    """The packages that a package depends on."""
    told = subprocess.run(
        ["apt-cache", "depends", package], check=True, capture_output=True, text=True
    ).stdout
    return re.findall(r"^ [ |]Depends: (\S+)$", told, re.MULTILINE)


def _with_dependencies(table: Path, names: tuple[str, ...]) -> set[str]:
    """The files of the modules ``names`` and of those they stand on, from modules.dep."""
    below = {}
    for line in table.read_text().splitlines():
        path, _, dependencies = line.partition(":")
        below[path] = dependencies.split()
    by_name = {Path(path).name.partition(".")[0].replace("-", "_"): path for path in below}
    needed: set[str] = set()
    waiting = [by_name[name] for name in names if name in by_name]
    while waiting:
        path = waiting.pop()
        if path not in needed:
            needed.add(path)
            waiting += below[path]
    return needed
