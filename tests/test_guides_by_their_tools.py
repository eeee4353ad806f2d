"""What the guides show for Puppet, Salt and cron, done by Puppet, Salt and cron: they are installed
on a layer above this machine, which is gone when the test ends.

Bolt is not in Debian, so ``tests/test_guides.py`` runs the task as Bolt does.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.conftest import LOCKCFG
from tests.test_guides import COLLECTOR, PROJECT, blocks

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Final

pytestmark = pytest.mark.usefixtures("long_run")

#: Runs a script on the layer. Its first word is a directory that the script sees too, the second
#: one the checkout.
_LAYER: Final = """
set -eu
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
for each in /dev /proc /sys "$1" "$2"; do
    mkdir -p "/mnt/root$each"
    mount --rbind "$each" "/mnt/root$each"
done
cd /mnt/root
printf '#!/bin/sh\\nexit 101\\n' >usr/sbin/policy-rc.d
chmod 755 usr/sbin/policy-rc.d
mkdir -p usr/lib/lockcfg mnt/spool
cp "$4" usr/lib/lockcfg/collect.py
ln -sf "$5" usr/bin/lockcfg
exec chroot . sh -euc 'cd "$1"; eval "$3"' sh "$1" "$2" "$3"
"""


def on_a_layer(directory: Path, script: str) -> str:
    """What a script prints that finds its files in ``directory``. Its processes end with it."""
    words = (directory, PROJECT, script, COLLECTOR, LOCKCFG)
    ran = subprocess.run(
        [
            *("unshare", "--mount", "--propagation", "private", "--ipc"),
            *("--pid", "--fork", "--kill-child", "--mount-proc"),
            *("sh", "-c", _LAYER, "sh", *words),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


_INSTALL: Final = "DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install"

_PUPPET: Final = f"""
{_INSTALL} puppet-agent >install.log 2>&1 || {{ cat install.log; exit 1; }}
chmod 755 modules/lockcfg/facts.d/lockcfg.py
puppet facts --modulepath modules --render-as json lockcfg
puppet apply --modulepath modules --color false -e '
    if $facts["lockcfg"]["incomplete"] == [] {{
        notify {{ "known: ${{facts[lockcfg][files]}}": }}
    }}'
"""


def test_puppet_has_the_fact(tmp_path: Path) -> None:
    """Puppet finds it in a module, and a manifest has it."""
    facts = tmp_path / "modules/lockcfg/facts.d"
    facts.mkdir(parents=True)
    (script,) = blocks("puppet", "py")
    (facts / "lockcfg.py").write_text(script)
    said = on_a_layer(tmp_path, _PUPPET)
    told, end = json.JSONDecoder().raw_decode(said)
    assert told["lockcfg"].keys() == {"files", "daemons", "running_guests", "incomplete"}
    assert len(told["lockcfg"]["files"]["qemu.conf"]) == 64
    assert told["lockcfg"]["incomplete"] == []
    assert f"known: {{qemu.conf => {told['lockcfg']['files']['qemu.conf']}" in said[end:], said


_SALT: Final = """
python3 -m venv /opt/salt
/opt/salt/bin/pip install --quiet --disable-pip-version-check salt >&2
mkdir -p /etc/salt /srv
cp -R roots /srv/salt
printf 'interface: 127.0.0.1\\nauto_accept: true\\nworker_threads: 3\\n' >/etc/salt/master
printf 'master: 127.0.0.1\\nid: kvm01\\n' >/etc/salt/minion
PATH=/opt/salt/bin:$PATH
salt-master --daemon
salt-minion --daemon
until salt kvm01 test.ping 2>/dev/null | grep -q True; do sleep 1; done
for words in saltutil.sync_modules lockcfg.summary 'lockcfg.collect /mnt/spool/' \\
    'state.apply lockcfg' 'state.apply lockcfg' 'schedule.list return_yaml=False'
do
    salt '*' --out json --out-indent=-1 --static $words
done
ls /mnt/spool
uname -n
"""


def test_salt_has_the_module(tmp_path: Path) -> None:
    """A master takes it to a minion, calls it, and its state sets the schedule once."""
    (tmp_path / "roots/_modules").mkdir(parents=True)
    (tmp_path / "roots/_modules/lockcfg.py").write_text(blocks("salt", "py")[0])
    (tmp_path / "roots/lockcfg.sls").write_text(blocks("salt", "yaml")[0])
    *answers, there, name = on_a_layer(tmp_path, _SALT).splitlines()
    synced, summary, collected, first, second, schedule = (
        json.loads(each)["kvm01"] for each in answers
    )
    assert synced == ["modules.lockcfg"]
    assert summary.keys() == {"daemons", "running_guests", "incomplete"}
    assert collected == f"/mnt/spool/{name}.json.gz"
    assert there == f"{name}.json.gz"
    for applied, changes in ((first, {"lockcfg-snapshot": "added"}), (second, {})):
        (state,) = applied.values()
        assert (state["result"], state["changes"]) == (True, changes)
    job = schedule["lockcfg-snapshot"]
    assert (job["function"], job["args"]) == ("lockcfg.collect", ["/mnt/spool/"])
    assert (job["hours"], job["splay"]) == (1, 1800)


# The user is root by another name, for he has to read this checkout.
_CRON: Final = f"""
{_INSTALL} cron >install.log 2>&1 || {{ cat install.log; exit 1; }}
useradd --non-unique --uid 0 --home-dir /var/lib/lockcfg --create-home lockcfg
mkdir -p /run/lock
cp host auditor /etc/cron.d
chmod 644 /etc/cron.d/*
cron
for _ in $(seq 900); do
    [ ! -s /var/lib/lockcfg/fleet.prom ] || [ -z "$(ls /mnt/spool)" ] || break
    sleep 0.2
done
ls /mnt/spool
uname -n
cat /var/lib/lockcfg/fleet.prom
"""


def test_cron_reads_the_lines(tmp_path: Path) -> None:
    """It does what they say, with another time and without the wait."""
    for name, block in zip(("host", "auditor"), blocks("cron", "text"), strict=True):
        lines = block.replace("17 * * * *", "* * * * *").replace("*/5 * * * *", "* * * * *")
        (tmp_path / name).write_text(lines.replace("1800", "1"))
    there, name, *metrics = on_a_layer(tmp_path, _CRON).splitlines()
    assert there == f"{name}.json.gz"
    assert any(line.startswith("lockcfg_fleet") for line in metrics), metrics
