"""Which file system a path leads to is found without asking any that has a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lockcfg import Mount
from lockd.locks.remote_mounts import remote_mounts

if TYPE_CHECKING:
    from pathlib import Path


def asked(path: str, among: dict[str, Mount]) -> list[str]:
    """What servers are asked about for a path, each of which answers."""
    return [path for _, path in remote_mounts(path, among)]


def mounts(**types: str) -> dict[str, Mount]:
    """Mounts by their points, ``_`` for the slash."""
    points = {f"/{point.replace('_', '/')}": kind for point, kind in types.items()}
    return {
        point: Mount(point, kind, "server:/export", frozenset()) for point, kind in points.items()
    }


MOUNTS = mounts(srv_nfs="nfs4", srv_gluster="fuse.glusterfs", srv="ext4", srv_auto="autofs")


@pytest.mark.parametrize(
    ("path", "point"),
    [
        ("/srv/nfs", "/srv/nfs"),
        ("/srv/nfs/locks/files", "/srv/nfs"),
        ("//srv/./nfs//locks", "/srv/nfs"),
        ("/srv/other/../nfs/x", "/srv/nfs"),
        ("/../srv/nfs", "/srv/nfs"),
        ("/srv/gluster/x", "/srv/gluster"),
        ("/srv/auto/x", "/srv/auto/x"),
        ("/srv/auto//./x/y", "/srv/auto/x"),
        ("/srv/auto/", "/srv/auto"),
        ("/srv/auto/../nfs", "/srv/auto /srv/nfs"),
        ("/srv/nfsx", ""),
        ("/srv", ""),
        ("/", ""),
        ("", ""),
        ("srv/nfs", ""),
        ("/srv/nf\0s", ""),
        ("/" + "x" * 5000 + "/../srv/nfs", ""),
    ],
)
def test_by_the_path_alone(path: str, point: str) -> None:
    """The names of directories, as far as they go."""
    assert asked(path, MOUNTS) == point.split()


def test_by_links(tmp_path: Path) -> None:
    """A link on this host is followed, one after the other, whatever it begins with."""
    away = {
        f"{tmp_path}/away": Mount(f"{tmp_path}/away", "nfs", "server:/export", frozenset()),
    }
    (tmp_path / "deep/er").mkdir(parents=True)
    links = {
        "absolute": f"{tmp_path}/away/locks",
        "deep/er/relative": "../../absolute",
        "deep/er/over": "../..//deep/er/relative/more",
        "here": "deep",
        "loop": "loop",
        "nothing": "missing/x",
    }
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    for name in ("absolute", "deep/er/relative", "deep/er/over/x", "here/er/relative"):
        assert asked(f"{tmp_path}/{name}", away) == [f"{tmp_path}/away"], name
    for name in ("loop", "nothing", "here", "deep/er", "missing"):
        assert asked(f"{tmp_path}/{name}", away) == [], name


def test_one_below_another(tmp_path: Path) -> None:
    """Each is asked, in the order in which the path comes to it: what is mounted below another, on
    a single file, and where a link leads that is on one."""
    points = [f"{tmp_path}/{name}" for name in ("auto", "auto/deep", "auto/deep/file", "other")]
    away = {
        point: Mount(point, kind, "server:/export", frozenset())
        for point, kind in zip(points, ("autofs", "nfs", "cifs", "fuse.sshfs"), strict=True)
    }
    (tmp_path / "auto/deep").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "auto/deep/link").symlink_to("../../other/disk")
    auto, deep, file, other = points
    assert asked(f"{deep}/x", away) == [deep, deep]
    assert asked(file, away) == [deep, deep, file]
    assert asked(f"{deep}/link", away) == [deep, deep, other]
    assert asked(auto, away) == [auto]


def test_what_another_stands_on(tmp_path: Path) -> None:
    """The directories of an overlay count as well."""
    layers = frozenset({f"lowerdir={tmp_path}/here:{tmp_path}/away/x", "rw"})
    among = {
        f"{tmp_path}/over": Mount(f"{tmp_path}/over", "overlay", "overlay", layers),
        f"{tmp_path}/away": Mount(f"{tmp_path}/away", "nfs", "server:/export", frozenset()),
    }
    assert asked(f"{tmp_path}/over/disk", among) == [f"{tmp_path}/away"]
