"""The laws of the model, and what it says of single hosts."""

from __future__ import annotations

import hashlib
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockcfg.fleet.model.domains import domain_of
from lockcfg.fleet.model.locks import DISK_KINDS, Disk, Lock, Locking, exclusion, lock_of
from lockcfg.fleet.model.place import Location, fsids_of, is_of_each_host, place_of, relation
from lockcfg.fleet.model.words import Words

WHY = "a file system"

places = st.builds(
    Location,
    st.sampled_from(["", "nfs://a", "nfs://b"]),
    st.sampled_from(["/locks", "/locks/files", "/vm"]),
    st.sampled_from([None, 7, 8]),
    st.sampled_from(["yes", "no", "unknown"]),
    st.just(WHY),
    local=st.booleans(),
)

lockings = st.builds(
    Locking,
    st.sampled_from(["lockd", "lockd", "lockd", "nop", "sanlock"]),
    auto=st.booleans(),
    require=st.booleans(),
    spaces=st.dictionaries(
        st.sampled_from(["file_lockspace_dir", "lvm_lockspace_dir", "scsi_lockspace_dir"]), places
    ),
    paths=st.just({}),
    lvs=st.sampled_from([True, False, None]),
    scsi_id=st.sampled_from([True, False, None]),
)

disks = st.builds(
    Disk,
    st.sampled_from(["file", "block", "network"]),
    st.sampled_from(["/vm/a", "/vm//a", "/dev/vg/a", "/dev/sdb"]),
    st.one_of(st.none(), places),
    lvm_uuid=st.sampled_from(["", "uuid-a"]),
    scsi_id=st.sampled_from(["", "35000a"]),
    shareable=st.booleans(),
    readonly=st.booleans(),
)


@given(lockings, disks, lockings, disks)
def test_exclusion_is_symmetric(one: Locking, disk: Disk, other: Locking, same: Disk) -> None:
    """It is a relation of two hosts, in whatever order."""
    first, second = lock_of(one, disk).lock, lock_of(other, same).lock
    for one_daemon in (False, True):
        forth = exclusion(first, second, one_daemon=one_daemon)
        assert forth == exclusion(second, first, one_daemon=one_daemon)


@given(lockings, disks, lockings, disks, lockings, disks)
def test_exclusion_across_hosts_is_transitive(
    one: Locking, a: Disk, two: Locking, b: Disk, three: Locking, c: Disk
) -> None:
    """Where all lock exclusively and all numbers are known: so domains are sets of hosts."""
    locks = [lock_of(host, disk).lock for host, disk in ((one, a), (two, b), (three, c))]
    if any(lock is None or lock.shared or lock.file.inode is None for lock in locks):
        return
    pairs = [exclusion(*pair).verdict for pair in combinations(locks, 2)]
    if pairs.count("yes") >= 2:
        assert pairs == ["yes"] * 3


@given(lockings, disks)
def test_an_answer_has_reasons(host: Locking, disk: Disk) -> None:
    """A chain of sentences of one line, the last of which says what is locked."""
    answer = lock_of(host, disk)
    assert answer.reasons
    assert not any("\n" in reason for reason in answer.reasons)
    if answer.lock is not None:
        assert "it locks " in answer.reasons[-1]


@given(lockings, lockings, disks)
def test_a_domain_holds_for_its_disks(one: Locking, other: Locking, disk: Disk) -> None:
    """Hosts of one domain with reach lock the same thing for an image of the same path."""
    disk = Disk("file", "/vm/a", disk.place)
    mine, yours = domain_of(one, "image"), domain_of(other, "image")
    assert mine is not None
    assert yours is not None
    if mine.key != yours.key or mine.mode != "indirect" or {mine.reach, yours.reach} != {"yes"}:
        return
    said = exclusion(lock_of(one, disk).lock, lock_of(other, disk).lock)
    spaces = one.spaces["file_lockspace_dir"], other.spaces["file_lockspace_dir"]
    # Where numbers differ, the fleet says so (ambiguous), and the key has them.
    if spaces[0].system and not any(space.local for space in spaces):
        assert said.verdict == "yes"


@given(lockings, st.sampled_from(DISK_KINDS))
def test_a_host_is_in_one_domain_of_a_kind(host: Locking, kind: str) -> None:
    """Or in none, for leases that it has not."""
    domain = domain_of(host, kind)  # type: ignore[arg-type]
    assert (domain is None) == (kind == "lease")
    assert domain is None or domain.reach in ("yes", "no", "unknown")


SPACE = Location("nfs://a", "/locks", 7, "yes", "NFSv4")
ALL = {
    "file_lockspace_dir": SPACE.below("files"),
    "lvm_lockspace_dir": SPACE.below("lvm"),
    "scsi_lockspace_dir": SPACE.below("scsi"),
}
FULL = Locking("lockd", spaces=ALL, paths={key: f"/locks/{key[:4]}" for key in ALL})


def locked(host: Locking, disk: Disk) -> tuple[str, str] | None:
    """Where a lock is, and what it is called."""
    lock = lock_of(host, disk).lock
    return None if lock is None else (lock.rule, lock.name)


def digest(path: str) -> str:
    """What libvirt calls the lock of a path."""
    return hashlib.sha256(path.encode()).hexdigest()


@pytest.mark.parametrize(
    ("disk", "expected"),
    [
        (Disk("file", "/vm/a", None), ("image", digest("/vm/a"))),
        (Disk("file", "/vm//a", None), ("image", digest("/vm//a"))),
        (Disk("block", "/dev/vg/a", None, lvm_uuid="u", scsi_id="s"), ("lvm", "u")),
        (Disk("block", "/dev/sdb", None, scsi_id="s"), ("scsi", "s")),
        (Disk("block", "/dev/sdb", None), ("block", digest("/dev/sdb"))),
        # The test is one of the path, and not of what is there.
        (Disk("file", "/dev/shm/image", None), ("block", digest("/dev/shm/image"))),
        (Disk("block", "/srv/link", None, lvm_uuid="u"), ("image", digest("/srv/link"))),
        (Disk("network", "rbd:a", None), None),
        (Disk("file", "/vm/a", None, readonly=True), None),
    ],
)
def test_the_first_rule_that_answers_wins(disk: Disk, expected: tuple[str, str] | None) -> None:
    """As the lockd plugin goes through them."""
    assert locked(FULL, disk) == expected


def test_a_fallback_is_told() -> None:
    """It is silent on the host."""
    answer = lock_of(
        Locking("lockd", spaces=ALL, lvs=False, scsi_id=True), Disk("block", "/dev/vg/a", None)
    )
    assert "its missing lvs gives no name" in answer.reasons[0]
    assert "its scsi_id gives no name" in answer.reasons[1]
    answer = lock_of(
        Locking("lockd", spaces=ALL, lvs=None, scsi_id=False), Disk("block", "/dev/vg/a", None)
    )
    assert "its lvs gives no name" in answer.reasons[0]
    assert "its missing scsi_id gives no name" in answer.reasons[1]


@pytest.mark.parametrize("shareable", [False, True])
@pytest.mark.parametrize(
    "host",
    [FULL, Locking("lockd"), Locking("sanlock", leases=SPACE, host_id=1)],
    ids=["indirect", "direct", "sanlock"],
)
def test_the_lock_of_a_shareable_disk_is_shared(host: Locking, shareable: bool) -> None:
    answer = lock_of(host, Disk("file", "/vm/a", SPACE, shareable=shareable))
    assert answer.lock is not None
    assert answer.lock.shared is shareable


def lock(place: Location, *, shared: bool = False) -> Lock:
    """A lock on a file."""
    return Lock(place, "/locks", "name", "image", shared=shared)


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        (lock(SPACE), lock(SPACE), "yes"),
        (lock(SPACE), lock(SPACE.replace(inode=8)), "no"),
        (lock(SPACE), lock(SPACE.replace(inode=None)), "yes"),
        (lock(SPACE), lock(SPACE.replace(system="nfs://b", inode=8)), "no"),
        (lock(SPACE), lock(SPACE.replace(system="nfs://b")), "unknown"),
        (lock(SPACE), lock(SPACE.replace(path="/other", inode=8)), "no"),
        (lock(SPACE), lock(SPACE.replace(path="/other")), "unknown"),
        (lock(SPACE), lock(SPACE.replace(carries="no")), "no"),
        (lock(SPACE), lock(SPACE.replace(carries="unknown")), "unknown"),
        (lock(SPACE), lock(SPACE.replace(system="")), "unknown"),
        (lock(SPACE), lock(SPACE.replace(system="", local=True, kind="local")), "unknown"),
        (lock(SPACE), lock(SPACE.replace(system="", local=True, kind="local", inode=8)), "no"),
        (lock(SPACE, shared=True), lock(SPACE), "yes"),
        (lock(SPACE, shared=True), lock(SPACE, shared=True), "no"),
        (lock(SPACE), None, "no"),
    ],
)
def test_two_hosts_exclude_each_other(one: Lock | None, other: Lock | None, verdict: str) -> None:
    """If both lock the same file where locks are carried."""
    assert exclusion(one, other).verdict == verdict


Mount = dict[str, object]


def nfs(source: str, point: str, *options: str, kind: str = "nfs4", root: str = "/") -> Mount:
    """A mount as a snapshot has it."""
    return {"point": point, "root": root, "type": kind, "source": source, "options": list(options)}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        # One directory, mounted in two ways.
        (("/l", nfs("a:/x", "/l", "addr=1")), ("/m", nfs("a:/x", "/m", "addr=1")), True),
        (("/l/x", nfs("a:/", "/l", "addr=1")), ("/m", nfs("a:/x", "/m", "addr=1")), True),
        (("/l", nfs("a:/", "/l", "addr=1", root="/x")), ("/m", nfs("a:/x", "/m", "addr=1")), True),
        (("/l", nfs("a:/x", "/l", "addr=1")), ("/m", nfs("b:/x", "/m", "addr=1")), True),
        (("/l", nfs("[fd00::1]:/x", "/l")), ("/m", nfs("[fd00::1]:/x", "/m")), True),
        # With this address each host means itself.
        (("/l", nfs("[::1]:/x", "/l")), ("/m", nfs("[::1]:/x", "/m")), False),
        (("/l", nfs("a:/x", "/l", kind="nfs")), ("/m", nfs("a:/x", "/m")), True),
        # One name, two servers; one server, two directories.
        (("/l", nfs("a:/x", "/l", "addr=1")), ("/l", nfs("a:/x", "/l", "addr=2")), False),
        (("/l", nfs("a:/x", "/l", "addr=1")), ("/l", nfs("a:/y", "/l", "addr=1")), False),
        # The servers of one pool; the volume is told by random numbers.
        (
            ("/l/d", nfs("g1:/v", "/l", kind="fuse.glusterfs")),
            ("/l/d", nfs("g2:/v", "/l", kind="fuse.glusterfs")),
            True,
        ),
        (
            ("/l", nfs("/dev/sda", "/l", kind="ext4")),
            ("/l", nfs("/dev/sda", "/l", kind="ext4")),
            False,
        ),
    ],
)
def test_a_place_is_the_same_on_all_hosts(
    one: tuple[str, Mount], other: tuple[str, Mount], same: bool
) -> None:
    """Whatever the host calls it."""
    mine, yours = (place_of(path, mount, 4711) for path, mount in (one, other))
    assert mine.same(yours) is same
    assert yours.same(mine) is same


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        # The whole path, and that below the root of version 4: one number, and one name.
        (("/l", nfs("a:/srv/x", "/l", kind="nfs")), ("/l", nfs("a:/x", "/l")), "yes"),
        (("/l/x", nfs("a:/srv", "/l", kind="nfs")), ("/l/x", nfs("a:/", "/l")), "yes"),
        # One number alone is two file systems of one server as well.
        (("/l", nfs("a:/srv/x", "/l", kind="nfs")), ("/l", nfs("a:/", "/l")), "unknown"),
        (("/l", nfs("a:/srv/yx", "/l", kind="nfs")), ("/l", nfs("a:/x", "/l")), "unknown"),
        # Another server, perhaps by another address.
        (("/l", nfs("a:/srv/x", "/l", kind="nfs")), ("/l", nfs("b:/x", "/l")), "unknown"),
        (
            ("/l", nfs("a:/srv/x", "/l", kind="fuse.mfs")),
            ("/l", nfs("a:/x", "/l", kind="fuse.mfs")),
            "unknown",
        ),
    ],
)
def test_an_export_may_have_two_names(
    one: tuple[str, Mount], other: tuple[str, Mount], verdict: str
) -> None:
    """One directory has a name for each version of NFS, or for each address: the inode numbers
    tell, or it is unknown."""
    mine, yours = (place_of(path, mount, 4711).below("x") for path, mount in (one, other))
    assert exclusion(lock(mine), lock(yours)).verdict == verdict
    assert exclusion(lock(yours), lock(mine)).verdict == verdict
    unlike = place_of(*other, 4712).below("x")
    assert exclusion(lock(mine), lock(unlike)).verdict == "no"


def test_a_local_file_system_is_the_kernels() -> None:
    """So two containers of one kernel share it, and two hosts never do."""
    mount = nfs("/dev/sda", "/l", kind="ext4")
    one = place_of("/l", mount, 2, device="8:1", kernel="boot-a")
    assert one.same(place_of("/l", mount, 2, device="8:1", kernel="boot-a"))
    assert not one.same(place_of("/l", mount, 2, device="8:1", kernel="boot-b"))
    assert exclusion(lock(one), lock(one)).verdict == "yes"


def test_one_daemon_tells_locks_apart_by_lockspace_and_name() -> None:
    """The same name in two lockspaces is two locks, as two names in one are."""
    place = Location("nfs://server/export", "/locks", 2, "yes", "NFS")

    def named(space: str, name: str) -> Lock:
        return Lock(place, space, name, "image", shared=False)

    said = {
        other: exclusion(named("/a", "disk"), named(*other), one_daemon=True).verdict
        for other in (("/a", "disk"), ("/b", "disk"), ("/a", "other"))
    }
    assert said == {("/a", "disk"): "yes", ("/b", "disk"): "no", ("/a", "other"): "no"}


def test_one_volume_that_two_kernels_have_carries_no_locks() -> None:
    """If the policy says that it is one, it is the same file, and each kernel has its own locks."""
    one, other = (
        Location("", path, 2, "no", "ext4", local=True, kind="local", name="disk")
        for path in ("/here", "/there")
    )
    words = Words(same=[["/here", "/there"]])
    said = exclusion(lock(one), lock(other), words=words)
    assert (said.verdict, "each in its own kernel" in said.why) == ("no", True)


def leased(carries: str, host_id: int) -> Lock:
    """A lease of sanlock's."""
    place = SPACE.replace(carries=carries)
    return Lock(place, "/locks", "name", "image", shared=False, host_id=host_id)


@pytest.mark.parametrize(
    ("carries", "verdict"), [("yes", "yes"), ("unknown", "unknown"), ("no", "unknown")]
)
def test_leases_count_where_each_host_sees_what_the_other_writes(
    carries: str, verdict: str
) -> None:
    """And the number of a host is one host's."""
    assert exclusion(leased(carries, 1), leased("yes", 2)).verdict == verdict
    assert exclusion(leased("yes", 2), leased(carries, 1)).verdict == verdict
    assert exclusion(leased(carries, 2), leased(carries, 2)).verdict == "unknown"


def test_a_path_that_is_no_unicode_is_hashed_as_it_is() -> None:
    """As libvirt does, which knows bytes alone."""
    disk = Disk("file", "/vm/\udcff", None)
    assert locked(FULL, disk) == ("image", hashlib.sha256(b"/vm/\xff").hexdigest())
    leases = Locking("sanlock", leases=SPACE, host_id=1)
    assert locked(leases, disk) == ("image", hashlib.md5(b"/vm/\xff").hexdigest())


def test_one_disk_of_two_kernels_is_two_files() -> None:
    """Each host locks a device node of its own, though the disk is the same."""
    node = Location("", "/dev/sdb", None, "no", "devtmpfs", local=True, kind="local")
    one = Lock(node, "", "/dev/sdb", "block", shared=False)
    assert exclusion(one, one, one_disk=True).verdict == "no"
    assert "two different files" in exclusion(one, one, one_disk=True).why
    shared = lock(SPACE).replace(space="")
    assert exclusion(shared, shared.replace(file=SPACE.replace(path="/b")), one_disk=True) == (
        exclusion(shared, shared, one_disk=True)
    )


UUID = "0fc63daf-8483-4772-8e79-3d69d8477de4"
LONG = "fc63daf84834772:8e793d69d8477de5"


def test_a_server_is_another_one_if_all_that_its_clients_are_told_is_unique() -> None:
    """A short id may come from the exports file of any server."""
    own = Location("", "/srv", 7, "yes", "ext4", local=True, kind="local", ids=(f"uuid:{UUID}",))
    told = SPACE.replace(ids=(f"fsid4:{LONG}",))
    assert exclusion(lock(own), lock(told)).verdict == "no"
    told = SPACE.replace(ids=(f"fsid4:{LONG}", "fsid4:8:1"))
    assert exclusion(lock(own), lock(told)).verdict == "unknown"


def test_short_ids_of_two_versions_prove_nothing() -> None:
    """Two servers may have them, though the one follows from the other."""
    short = "8:1"
    folded = fsids_of(f"{8:016x}{1:016x}")["fsid3"]
    one = SPACE.replace(ids=(f"fsid4:{short}",))
    other = SPACE.replace(system="nfs://b", ids=(f"fsid3:{folded}",))
    assert relation(one, other) == relation(other, one) == "unknown"


def test_only_cephfs_has_such_snapshots() -> None:
    """Elsewhere it is a directory like any other, which has two names here."""
    where = {"ids": (f"fsid4:{LONG}",), "inode": 7777}
    one = SPACE.replace(path="/x/.snap/one/d", **where)
    assert relation(one, SPACE.replace(path="/x/d", **where)) == "same"


@pytest.mark.parametrize(
    ("server", "is_its_own"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("[::1]:2050", True),
        ("169.254.1.2", True),
        ("fe80::1%eth0", True),
        ("localhouse", False),
        ("192.0.2.1", False),
        ("[2001:db8::1]:2050", False),
    ],
)
def test_an_address_that_each_host_has_for_itself(server: str, is_its_own: bool) -> None:
    """Two hosts that mount from it may mount from two servers."""
    assert is_of_each_host(f"nfs://{server}") == is_its_own
