"""Which file system a path leads to is found without asking any that has a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lockcfg import Mount
from lockd.locks.remote import remote_mount

if TYPE_CHECKING:
    from pathlib import Path


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
        ("/srv/auto/x", "/srv/auto"),
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
    found = remote_mount(path, MOUNTS)
    assert (found.point if found else "") == point


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
        assert remote_mount(f"{tmp_path}/{name}", away), name
    for name in ("loop", "nothing", "here", "deep/er", "missing"):
        assert remote_mount(f"{tmp_path}/{name}", away) is None, name
