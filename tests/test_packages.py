"""The packages for distributions. ``packaging/test-packages`` installs and uses Debian's on each
release; this is what can be seen here."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import lockd
from lockcfg.version import VERSION

PROJECT = Path(__file__).parent.parent

#: What a package of Python is called by Debian and Fedora.
NAMES = {
    "jinja2": "python3-jinja2",
    "jsonschema": "python3-jsonschema",
    "markupsafe": "python3-markupsafe",
    "prometheus-client": "python3-prometheus-client",
    "python-augeas": "python3-augeas",
    "pyyaml": "python3-yaml",
}


def wanted() -> dict[str, str]:
    """What pyproject.toml asks for, and from which version on."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    return dict(each.split(">=") for each in project["dependencies"])


@pytest.mark.parametrize("path", ["packaging/debian/control", "packaging/rpm/lockcfg.spec"])
def test_they_need_what_pyproject_asks_for(path: str) -> None:
    """No more and no less, and no newer."""
    text = (PROJECT / path).read_text().replace("python3-pyyaml", "python3-yaml")
    text = text.replace("python3-prometheus_client", "python3-prometheus-client")
    text = text.partition("Package: lockd")[0].partition("%package")[0]
    found = dict(re.findall(r"\b(python3-[\w-]+)\b(?: \(?>= ([\d.]+))?", text))
    found.pop("python3-python", None)
    assert sorted(found) == sorted(NAMES[name] for name in wanted())
    for name, version in wanted().items():
        # Where Debian 12 has it, it need not be said.
        assert found[NAMES[name]] in ("", version)


def test_both_parts_have_one_version() -> None:
    """They are released together."""
    assert lockd.__version__ == VERSION


@pytest.fixture(scope="module")
def debs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both packages, unpacked into one tree."""
    target = tmp_path_factory.mktemp("debs")
    subprocess.run(
        [PROJECT / "packaging/build-deb", target],
        check=True,
        capture_output=True,
        env={**os.environ, "DEBVERSION": "99.0"},
    )
    for deb in target.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", deb, target / "root"], check=True)
    return target / "root"


def test_everything_is_in_the_debian_packages(debs: Path) -> None:
    """Every file of both packages of Python, and the lenses and schemas in lockcfg's."""
    listed = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "HEAD", "lockcfg", "lockd", "lenses", "schemas"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    )
    site = debs / "usr/lib/python3/dist-packages"
    expected = {
        f"lockcfg/{name}" if name.startswith(("lenses/", "schemas/")) else name
        for name in listed.stdout.splitlines()
    }
    found = {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()}
    assert found == expected


def test_the_debian_packages_work_unpacked(debs: Path) -> None:
    """With Debian's Python and its modules, isolated, at the places of the packages."""
    script = """
        for path in usr/bin/lockcfg usr/sbin/lockd usr/sbin/install-lockd; do
            touch "/$path"
            mount --bind "$1/$path" "/$path"
        done
        mkdir -p /usr/lib/python3/dist-packages/lockcfg /usr/lib/python3/dist-packages/lockd
        for name in lockcfg lockd; do
            place=/usr/lib/python3/dist-packages/$name
            mount --bind "$1$place" $place
        done
        lockcfg --version; lockd --version
        lockcfg schema --path qemu.conf
    """
    for name in ("usr", "work"):
        (debs.parent / name).mkdir(exist_ok=True)
    layer = f"lowerdir=/usr,upperdir={debs.parent}/usr,workdir={debs.parent}/work"
    result = subprocess.run(
        [
            *("unshare", "--mount", "sh", "-ec"),
            f"mount -t overlay -o {layer} overlay /usr\n{script}",
            *("sh", debs),
        ],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "lockcfg 99.0",
        "lockd (lockcfg) 99.0",
        "/usr/lib/python3/dist-packages/lockcfg/schemas/qemu.conf.schema.json",
    ]


def test_the_profile_is_one() -> None:
    """AppArmor's compiler takes it; this kernel may have no AppArmor to load it into. It only
    complains, and denies nothing: a denial would hold all the same."""
    profile = PROJECT / "packaging/apparmor/usr.sbin.lockd"
    subprocess.run(["apparmor_parser", "-Q", "-K", profile], check=True, capture_output=True)
    text = profile.read_text()
    assert "complain)" in text
    assert not re.search(r"^\s*(audit )?deny ", text, re.MULTILINE)


def test_no_profile_takes_what_the_unit_leaves() -> None:
    """What confines lockd besides its unit allows every capability that the unit does."""
    unit = (PROJECT / "packaging/systemd/virtlockd.service").read_text()
    [wanted] = re.findall(r"^CapabilityBoundingSet=(.*)", unit, re.MULTILINE)
    names = {name.removeprefix("CAP_").lower() for name in wanted.split()}
    assert names
    profile = (PROJECT / "packaging/apparmor/usr.sbin.lockd").read_text()
    assert names <= {*re.findall(r"^  capability (\w+),", profile, re.MULTILINE)}
    module = (PROJECT / "packaging/selinux/lockd.te").read_text()
    [allowed] = re.findall(r"self:capability \{ (.*) \};", module)
    assert names <= {*allowed.split()}
