"""Lockspaces below automounts, with the real automount(8): the collector looks at what is mounted
when they are used."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from lockcfg.fleet.snapshots import collector

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Final

# automount mounts nothing for the processes of its own group.
_COLLECT: Final = """
mount -t tmpfs tmpfs /srv
mount -t tmpfs tmpfs /run
mkdir -p /srv/direct /srv/indirect /srv/behind/files
echo "/- $1/direct" >"$1/master"
echo "/srv/indirect $1/indirect" >>"$1/master"
echo "/srv/direct -fstype=bind :/srv/behind" >"$1/direct"
echo "files -fstype=bind :/srv/behind/files" >"$1/indirect"
setsid automount --foreground "$1/master" >"$1/log" 2>&1 &
tries=300
while [ "$(grep -c ' autofs ' /proc/mounts)" != 2 ]; do
    tries=$((tries - 1))
    [ $tries != 0 ] || { cat "$1/log"; exit 1; }
    sleep 0.1
done
"$2" -I "$3" --etc "$1"
"""


def test_an_automount_is_triggered_first(tmp_path: Path) -> None:
    """Whether the directory is its mount point, or below it, or not there before."""
    spaces = {
        "file_lockspace_dir": "/srv/direct/files",
        "lvm_lockspace_dir": "/srv/direct",
        "scsi_lockspace_dir": "/srv/indirect/files",
    }
    (tmp_path / "qemu.conf").write_text('lock_manager = "lockd"\n')
    lines = [f'{setting} = "{path}"\n' for setting, path in spaces.items()]
    (tmp_path / "qemu-lockd.conf").write_text("".join(lines))
    # With the first process of the namespace, automount and its mounts end.
    done = subprocess.run(
        [
            *("unshare", "--mount", "--propagation", "private"),
            *("--pid", "--fork", "--mount-proc", "--kill-child"),
            *("sh", "-euc", _COLLECT, "sh", tmp_path, sys.executable, str(collector.__file__)),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = {each["path"]: each for each in json.loads(done.stdout)["directories"]}
    assert {path: told[path]["mount"]["type"] for path in spaces.values()} == dict.fromkeys(
        spaces.values(), "tmpfs"
    )
    roots = {path: told[path]["mount"]["root"] for path in spaces.values()}
    assert roots == {
        "/srv/direct/files": "/behind",
        "/srv/direct": "/behind",
        "/srv/indirect/files": "/behind/files",
    }
    assert {told[path]["probe"]["outcome"] for path in spaces.values()} == {"excludes"}
