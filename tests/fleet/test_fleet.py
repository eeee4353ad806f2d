"""Audits of whole fleets: laws, parts, policies, plans."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.made_up_fleet import NOW, WRONG, demo, write
from lockcfg.fleet.audit import audit_of, read_fleet
from lockcfg.fleet.forecast import plan_of
from lockcfg.fleet.plan.proposal import proposed_policy
from lockcfg.fleet.policy.host_ranges import HostPatterns, expand, fold
from lockcfg.fleet.policy.policy import policy_from
from lockcfg.fleet.snapshots.collector import gluster_command
from lockcfg.fleet.store.ingest import ingest
from lockcfg.fleet.store.store import Store
from lockcfg.yamlschema import load_schema, violations
from tests.fleet.fleets import audited, findings_of, fleet_of, store_of, write_fleet

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from lockcfg.fleet.plan.steps import Plan, Step
    from tests.conftest import RunLockcfg

#: What the kernel calls the volume of :func:`lun`.
DM = f"LVM-{'v' * 32}abc1"


def lun(*, running: bool, **more: Any) -> dict[str, Any]:
    """A host whose guest has a volume, and no other disk that another host could have."""
    disk = {"path": "/dev/san/db", "lvm_uuid": "abc-1", **more}
    return {
        "images": {"mount": None},
        "guests": [{"name": "db", "running": running, "disks": [disk]}],
    }


#: Hosts that share file systems, block devices, or both.
SHARING: list[dict[str, Any]] = [
    lun(running=False),
    lun(running=False, lvm_uuid="", dm_uuid=DM),
    lun(running=True, lvm_uuid="abc-2"),
    {"guests": [*lun(running=True)["guests"], *lun(running=False, lvm_uuid="abc-2")["guests"]]},
]

fleets = st.dictionaries(
    st.from_regex(r"\Akvm[0-9]{1,3}\Z"),
    st.sampled_from([{}, {}, *SHARING, *SHARING, *WRONG.values()]),
    min_size=1,
    max_size=8,
)


@given(fleets, st.randoms(use_true_random=False))
def test_the_order_of_hosts_does_not_matter(
    hosts: dict[str, dict[str, Any]], rng: random.Random
) -> None:
    """Nor does who was read first."""
    names = list(hosts)
    rng.shuffle(names)
    assert audited(hosts) == audited({name: hosts[name] for name in names})


@given(fleets, st.integers(2, 4))
def test_parts_that_are_merged_are_the_whole(hosts: dict[str, dict[str, Any]], count: int) -> None:
    """Whichever host is in which part."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        whole = Store.create()
        merged = Store.create()
        paths = []
        for number, (name, changes) in enumerate(hosts.items()):
            part = top / f"{number % count}"
            write_fleet(part, {name: changes})
            paths.append(part)
        for part in dict.fromkeys(paths):
            store = Store.create(str(top / f"{part.name}.fleet"))
            ingest([str(part)], store)
            store.close()
        ingest([str(part) for part in dict.fromkeys(paths)], whole)
        ingest([str(top / f"{part.name}.fleet") for part in dict.fromkeys(paths)], merged)
        one, other = (audit_of(fleet_from(store)) for store in (whole, merged))
        whole.close()
        merged.close()
    assert one == other


def fleet_from(store: Store) -> Any:
    """The fleet in a store."""
    from lockcfg.fleet.audit import read_fleet

    return read_fleet(store, now=NOW)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_merged_parts_give_the_same_bytes(
    tmp_path: Path, lockcfg: RunLockcfg, processes: int
) -> None:
    """Of a fleet with everything in it, read by one process or several."""
    write(str(tmp_path / "fleet"), 400, full=False)
    files = sorted((tmp_path / "fleet").glob("*.json"))
    now = ("--json", "--now", str(NOW))
    whole = lockcfg("audit", *now, tmp_path / "fleet").stdout
    parts = []
    for number in range(3):
        part = tmp_path / f"part{number}.fleet"
        some = files[number::3]
        assert lockcfg("audit", "--partial", part, *some).returncode == 0
        parts.append(part)
    assert lockcfg("audit", *now, "--merge", *reversed(parts)).stdout == whole
    store = Store.create()
    ingest([str(tmp_path / "fleet")], store, processes=processes)
    import io

    from lockcfg.report.audit import render_audit

    stream = io.StringIO()
    render_audit(audit_of(fleet_from(store), version=json.loads(whole)["version"]), "json", stream)
    assert stream.getvalue() == whole
    assert violations(json.loads(whole), load_schema("audit-output")) == []


@pytest.mark.parametrize("kind", WRONG)
def test_every_way_of_being_wrong_is_found(kind: str) -> None:
    """On that host, beside others that are fine."""
    others: dict[str, dict[str, Any]] = {
        "kvm01": {"guests": [{"name": "shared", "disks": ["/srv/images/shared.qcow2"]}]},
        "kvm02": {
            "guests": [
                {"name": "ledger", "disks": [{"path": "/dev/vg0/ledger", "lvm_uuid": "u-1"}]}
            ]
        },
    }
    guests = [{"name": name, "disks": [f"/srv/images/{name}"]} for name in ("one", "two")]
    result = audited({**others, "kvm03": {"guests": guests, **WRONG[kind]}})
    about = [finding for finding in result.findings if "kvm03" in finding.hosts]
    if kind == "a disk of another":
        assert about == []
        assert [disk.safe for disk in result.disks] == ["yes"]
        return
    assert about, kind
    worst = {finding.severity for finding in about}
    assert worst & {"error", "warning"} or kind == "network disks"


def test_quick_and_slow_verdicts_on_disks_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a comparison shows, the model says as well."""
    hosts = {
        f"kvm{number:02}": {
            **changes,
            "guests": [
                {"name": name, "disks": [f"/srv/images/{name}"], "running": False}
                for name in ("a", "b")
            ],
        }
        for number, changes in enumerate([{}, *WRONG.values()])
    }
    fleet = fleet_of(hosts)
    monkeypatch.setattr("lockcfg.fleet.comparison.disks._quick_of", lambda *_: None)
    slow = fleet_of(hosts)
    assert [disk.safe for disk in fleet.disks] == [disk.safe for disk in slow.disks]


def test_a_fleet_unanimously_wrong_is_wrong() -> None:
    """The majority is a hint and never the judge."""
    result = audited({f"kvm{number:02}": WRONG["local lockspace"] for number in range(20)})
    assert result.verdict.level == "unsafe"
    assert len(findings_of(result, "LA202")[0].hosts) == 20


def test_the_demonstration_shows_three_wrong_hosts() -> None:
    """Wrong in different ways, with the reason chain of each."""
    result = audited(demo())
    assert result.verdict.level == "unsafe"
    assert findings_of(result, "LA101")[0].hosts == ("kvm03",)
    assert findings_of(result, "LA305")[0].hosts == ("kvm09",)
    chains = {finding.hosts: finding.reasons for finding in findings_of(result, "LA302")}
    assert set(chains) == {("kvm01", "kvm03"), ("kvm07", "kvm09")}
    assert "its missing lvs gives no name" in chains["kvm07", "kvm09"][1]
    image = [row for row in result.domains if row.kind == "image"]
    assert sorted(len(row.hosts) for row in image) == [1, 1, 10]


# Who shares storage


def test_hosts_with_one_block_device_are_a_group() -> None:
    """The audit says that it was inferred, and from what; a host without such a device is in
    none."""
    hosts = {
        "kvm01": lun(running=True),
        "kvm02": lun(running=False),
        "kvm03": {**WRONG["another export"], **lun(running=False, lvm_uuid="", dm_uuid=DM)},
        "kvm04": lun(running=True, lvm_uuid="other"),
    }
    result = audited(hosts)
    groups = {group.name: group for group in result.groups}
    assert groups["lvm:abc1"].hosts == ("kvm01", "kvm02", "kvm03")
    assert groups["lvm:abc1"].inferred
    assert groups["lvm:abc1"].storages == ("lvm:abc1",)
    assert groups[""].hosts == ("kvm04",)
    assert "block devices" in result.notes[0]
    (finding,) = findings_of(result, "LA504")
    assert "block devices" in finding.message
    assert "kvm03" in findings_of(result, "LA204")[0].hosts, "compared as a group is"
    assert {row.hosts for row in result.domains if row.apart} == {("kvm03",)}


def test_scsi_volumes_make_a_group_too_and_join_those_of_file_systems() -> None:
    """A group is called after a file system where it has one."""
    disk = {"path": "/dev/sdb", "wwid": "naa.5000c50015ea71ad"}
    far = {"images": {"mount": {"source": "nfs9:/far", "options": ["addr=10.0.0.9"]}}}
    guests = [{"name": "db", "disks": [disk, "/srv/images/db"], "running": False}]
    result = audited(
        {"kvm01": {"guests": guests}, "kvm02": {**far, "guests": guests}, "kvm03": far}
    )
    assert [group.name for group in result.groups] == ["nfs://10.0.0.5:/vm"]
    assert result.groups[0].hosts == ("kvm01", "kvm02", "kvm03")
    assert "scsi:35000c50015ea71ad" in result.groups[0].storages


def test_a_device_of_an_old_snapshot_makes_no_group() -> None:
    """Only what counts does; nor is a host a group with itself."""
    old = {**lun(running=False), "host": {"name": "kvm01"}, "age-hours": 2}
    result = audited(
        {"kvm01": lun(running=True, lvm_uuid="new"), "kvm01-old": old, "kvm02": lun(running=True)}
    )
    assert [group.name for group in result.groups] == [""]


def test_a_policy_without_groups_hides_nothing() -> None:
    """A policy that waives one finding still has the others reported."""
    hosts = {"kvm01": {}, "kvm02": WRONG["another export"]}
    waivers = {"waivers": [{"rule": "LA505", "hosts": ["x"], "reason": "y"}]}
    result = audited(hosts, waivers)
    assert {"LA204", "LA301", "LA504"} <= {finding.code for finding in result.findings}
    assert result.groups == audited(hosts).groups


def test_a_policy_whose_names_are_misspelt_makes_nothing_safe() -> None:
    """Hosts in no group are compared as without a policy, and an empty group is reported."""
    groups = {"groups": {"hall": {"hosts": ["kmv*"]}}}
    assert findings_of(audited({"kvm01": {}, "kvm02": WRONG["another export"]}, groups), "LA301")
    result = audited({"kvm01": {}, "kvm02": {}}, groups)
    assert result.verdict.level == "unknown"
    assert findings_of(result, "LA403")[0].group == "hall"


def test_hosts_that_leave_it_to_leases_are_judged_by_these() -> None:
    """Disks are not locked, and no guest starts without a lease: which is for which disk is
    unknown. One host that locks its disks does not exclude the others."""
    lease = {"lockspace": "a", "key": "db", "target": "/leases"}
    guest = {"name": "db", "disks": ["/srv/images/db"], "leases": [lease], "running": False}
    nfs = {"point": "/leases", "root": "/", "type": "nfs4", "source": "nfs1:/leases"}
    mount = {**nfs, "options": ["addr=10.0.0.5", "lookupcache=none", "rw"]}
    leased = {
        "qemu-lockd.conf": "auto_disk_leases = 0\n",
        "directories": [{"path": "/leases/a", "holds": ["leases"], "mount": mount}],
        "guests": [guest],
    }
    result = audited({"kvm01": leased, "kvm02": leased})
    assert {finding.code for finding in result.findings} == {"LA309", "LA504"}
    assert [row.reach for row in result.domains if row.kind == "lease"] == ["yes"]
    assert result.verdict.level == "unknown"
    codes = {f.code for f in audited({"kvm01": leased, "kvm02": {"guests": [guest]}}).findings}
    assert {"LA301", "LA302"} <= codes


@pytest.mark.parametrize("name", ["hall", "nfs://10.0.0.5:/vm"])
def test_a_host_outside_the_policy_that_shares_storage_is_told(name: str) -> None:
    """It is unknown, whatever the group of the others is called."""
    result = audited({"kvm01": {}, "kvm02": {}}, {"groups": {name: {"hosts": ["kvm01"]}}})
    (finding,) = findings_of(result, "LA506")
    assert finding.hosts == ("kvm02",)
    assert f"'{name}'" in finding.message
    assert result.unknown == ("kvm02",)
    assert [group.hosts for group in result.groups if group.name == name] == [("kvm01",)]


def test_of_two_domains_as_large_none_is_the_right_one() -> None:
    """The majority is a hint, and here there is none."""
    far = WRONG["another export"]
    result = audited({"kvm01": {}, "kvm02": {}, "kvm03": far, "kvm04": far})
    assert [row.apart for row in result.domains] == [True, True]
    for code in ("LA204", "LA301"):
        assert findings_of(result, code)[0].hosts == ("kvm01", "kvm02", "kvm03", "kvm04")
    other = WRONG["another directory"]
    differing = audited({"kvm01": {}, "kvm02": other})
    assert findings_of(differing, "LA203")[0].hosts == ("kvm01", "kvm02")
    result = audited({"kvm01": {}, "kvm02": {}, "kvm03": far})
    assert [row.hosts for row in result.domains if row.apart] == [("kvm03",)]


def test_a_link_to_a_device_is_that_device() -> None:
    """Wherever the link is: libvirt locks it by the path, and the device itself by its UUID."""
    link = {"type": "block", "path": "/srv/images/db", "resolved": "/dev/dm-3", "dm_uuid": DM}
    device = {"path": "/dev/san/db", "resolved": "/dev/dm-7", "dm_uuid": DM, "lvm_uuid": "abc-1"}
    result = audited(
        {
            "kvm01": {"guests": [{"name": "db", "disks": [link]}]},
            "kvm02": {"guests": [{"name": "db", "disks": [device], "running": False}]},
        }
    )
    assert [(disk.name, disk.safe) for disk in result.disks] == [("lvm:abc1", "no")]
    assert result.verdict.level == "unsafe"


def test_a_lockspace_that_is_not_there_is_none_of_two_of_one_name() -> None:
    """It is unknown which of the two directories it would be."""
    other = WRONG["another server of that address"]
    hosts = {"kvm01": {}, "kvm02": {}, "kvm03": other, "kvm04": WRONG["missing lockspace"]}
    result = audited(hosts)
    reaches = {row.hosts: (row.reach, row.apart) for row in result.domains}
    assert reaches == {
        ("kvm01", "kvm02"): ("yes", False),
        ("kvm03",): ("yes", True),
        ("kvm04",): ("unknown", False),
    }
    assert "kvm04" not in {host for f in findings_of(result, "LA204") for host in f.hosts}


# What is unknown


UNSEEN: dict[str, tuple[dict[str, Any], str]] = {
    "a lockspace that the snapshot has not": ({"spaces": []}, "LA210"),
    "a lockspace on no mount": ({"lockspace": {"mount": None}}, "LA210"),
    "no scratch lock": ({"collector": {"probe": False}, "lockspace": {"probe": None}}, "LA407"),
    "disks that gave no answer": (
        {"images": {"mount": None, "probe": None, "error": "no answer"}},
        "LA407",
    ),
    "images that are locked themselves on CIFS": (
        {
            "qemu-lockd.conf": "",
            "spaces": [],
            "images": {"mount": {"type": "cifs", "source": "//nas/vm", "options": ["rw"]}},
        },
        "LA210",
    ),
    "a volume of a pool": (
        {
            "guests": [
                {
                    "name": "v",
                    "disks": [{"type": "volume", "path": "san/unit:0:0:1"}],
                    "running": False,
                }
            ]
        },
        "LA307",
    ),
    "leases on MooseFS": (
        {
            "directories": [
                {
                    "path": "/leases/a",
                    "holds": ["leases"],
                    "mount": {
                        "point": "/leases",
                        "root": "/",
                        "type": "fuse.mfs",
                        "source": "mfsmaster:9421",
                        "options": ["rw"],
                    },
                }
            ]
        },
        "LA210",
    ),
}


@pytest.mark.parametrize("kind", UNSEEN)
def test_what_nobody_looked_at_is_unknown_and_never_fine(kind: str) -> None:
    """Though nothing wrong is known of it."""
    changes, code = UNSEEN[kind]
    result = audited({"kvm01": changes, "kvm02": changes})
    assert findings_of(result, code), [finding.message for finding in result.findings]
    assert result.verdict.level == "unknown"
    assert result.unknown == ("kvm01", "kvm02")


def test_what_a_user_may_not_is_not_what_root_may_not() -> None:
    """A collector that was not root is refused everywhere."""
    denied = {
        "lockspace": {"probe": {"outcome": "fails", "step": "create", "error": "Permission denied"}}
    }
    codes = [
        {
            finding.code
            for finding in audited(
                {"kvm01": {**denied, "collector": {"privileged": root}}}
            ).findings
        }
        for root in (True, False)
    ]
    assert "LA209" in codes[0]
    assert not {"LA209", "LA212"} & codes[1]
    assert "LA407" in codes[1]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("recover_lost_locks", "LA206"),
        ("NFSv3", "LA207"),
        ("nolock", "LA308"),
        ("MooseFS", "LA210"),
    ],
)
def test_images_that_are_locked_themselves_are_on_what_carries_their_locks(
    kind: str, code: str
) -> None:
    """What is said of the mounts of lockspaces is said of those of images then, and only then."""
    images = {"images": WRONG[kind]["lockspace"]}
    direct = {"qemu-lockd.conf": "", "spaces": [], **images}
    (finding,) = findings_of(audited({"kvm01": direct}), code)
    assert finding.message.startswith("images in /srv/images are locked themselves")
    assert not findings_of(audited({"kvm01": images}), code)


def test_images_are_not_locked_where_a_lock_keeps_nobody_out() -> None:
    """Where they are locked themselves, what a scratch lock did beside them counts."""
    images = {"images": {"probe": {"outcome": "grants"}}}
    direct = {"qemu-lockd.conf": "", "spaces": [], **images}
    assert findings_of(audited({"kvm01": direct}), "LA212")
    assert not findings_of(audited({"kvm01": images}), "LA212")


def test_an_empty_drive_is_no_network_disk() -> None:
    """It has no path, as nothing is in it."""
    guest = {"name": "g", "disks": [{"type": "file", "path": "", "readonly": True}]}
    messages = [f.message for f in findings_of(audited({"kvm01": {"guests": [guest]}}), "LA307")]
    assert messages == ["guests have read-only disks, which lockd does not lock"]
    guest["disks"] = [{"type": kind, "path": "x"} for kind in ("nvme", "network")]
    messages = [f.message for f in findings_of(audited({"kvm01": {"guests": [guest]}}), "LA307")]
    assert [message.split(",")[0] for message in messages] == [
        "guests have disks of the type nvme",
        "guests have network disks",
    ]


names = st.lists(
    st.from_regex(r"\A[a-z]{0,2}[0-9]{0,4}[a-z]?(\.[a-z]?[0-9]{0,2}){0,2}\Z").filter(bool),
    unique=True,
)


@given(names)
def test_folded_names_unfold_to_the_same(hosts: list[str]) -> None:
    """Leading zeros and all."""
    unfolded = [name for part in fold(hosts) for name in expand(part)]
    assert sorted(unfolded) == sorted(hosts)


def test_names_are_folded_as_people_write_them() -> None:
    """``kvm[01-40,43]``."""
    hosts = [f"kvm{number:02}" for number in (*range(1, 41), 43)]
    assert fold(hosts) == ["kvm[01-40,43]"]
    assert fold(["kvm99", "kvm100", "a", "b1.x"]) == ["a", "b1.x", "kvm[99-100]"]


def test_hosts_are_counted_before_the_first_dot() -> None:
    """Their domain has numbers of its own; an address has nothing else."""
    hosts = [f"kvm{number:02}.dc1.example.com" for number in range(1, 5)]
    assert fold(hosts) == ["kvm[01-04].dc1.example.com"]
    assert fold(["10.0.0.1", "10.0.0.2", "a.dc1", "a.dc2"]) == ["10.0.0.[1-2]", "a.dc[1-2]"]


def test_a_glob_may_have_a_range_and_a_bracket_is_a_bracket() -> None:
    """Not a set of characters, as in a shell."""
    of_both = HostPatterns(["kvm[01-40]-*", "a[b*"])
    assert "kvm07-r2" in of_both
    assert "kvm41-r2" not in of_both
    assert "kvm1-r2" not in of_both
    assert "a[bc" in of_both
    assert of_both.named == frozenset()


def test_glusterfs_is_held_to_its_own_options() -> None:
    """Which the collector reads from the client's command line."""
    gluster = {"type": "fuse.glusterfs", "source": "g1:/locks", "options": ["rw"]}
    command = b"glusterfs\0--entry-timeout=0\0--attribute-timeout=0\0-f\0x.vol\0/srv/locks\0"
    point, options = gluster_command(command)
    assert point == "/srv/locks"
    uncached = {**gluster, "options": ["rw", *options]}
    result = audited(
        {"kvm01": {"lockspace": {"mount": gluster}}, "kvm02": {"lockspace": {"mount": uncached}}}
    )
    (finding,) = findings_of(result, "LA211")
    assert finding.hosts == ("kvm01",)


# Policies


def test_a_first_policy_is_what_is_there() -> None:
    """It is a policy, and the audit by it finds no hosts missing."""
    text = proposed_policy(fleet_of(demo()))
    result = audited(demo(), yaml.safe_load(text))
    assert findings_of(result, "LA403") == []
    assert {host for f in findings_of(result, "LA501") for host in f.hosts} == {"kvm03", "kvm12"}


def proposed(hosts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The first policy of the only group of a fleet."""
    (group,) = yaml.safe_load(proposed_policy(fleet_of(hosts)))["groups"].values()
    return dict(group)


def test_a_first_policy_asks_for_no_less_than_the_best_protected_have() -> None:
    """Hosts that lock nothing, or for themselves alone, have no vote, however many they are."""
    weak = [WRONG["no lock manager"], WRONG["local lockspace"], WRONG["no leases"], WRONG["nolock"]]
    hosts = {f"kvm{number:02}": weak[number % 4] for number in range(12)}
    group = proposed({**hosts, "kvm20": {}})
    assert group["settings"]["lock_manager"] == "lockd"
    assert group["settings"]["auto_disk_leases"] == 1
    assert group["storage"]["file_lockspace_dir"] == "nfs://10.0.0.5:/locks/files"


def test_what_as_many_have_otherwise_is_left_to_a_person() -> None:
    """No storage without its setting; what is left open is written beside it."""
    hosts = {"kvm01": {}, "kvm02": WRONG["another directory"]}
    assert "file_lockspace_dir" not in proposed(hosts)["settings"]
    assert "file_lockspace_dir" not in proposed(hosts).get("storage", {})
    text = proposed_policy(fleet_of(hosts))
    assert "# decide file_lockspace_dir" in text
    assert "/srv/locks/other" in text


def test_a_plan_switches_nothing_off() -> None:
    """Whatever the policy says: you decide that."""
    settings = {"lock_manager": "nop", "auto_disk_leases": 0, "file_lockspace_dir": None}
    policy = policy_from(
        {"groups": {"all": {"hosts": ["kvm*"], "settings": settings}}}, "fleet.yaml"
    )
    store = store_of({"kvm01": {}, "kvm02": {}})
    fleet = read_fleet(store, now=NOW, policy=policy)
    (step,) = plan_of(fleet, store).steps
    assert step.action == "decide"
    assert step.hosts == ("kvm01", "kvm02")
    assert 'lock_manager stays "lockd"' in "\n".join(step.details)


@pytest.mark.parametrize(
    ("of_host", "of_policy"), [("sanlock", "lockd"), ("lockd", "sanlock")], ids=str
)
def test_a_plan_replaces_no_lock_manager(of_host: str, of_policy: str) -> None:
    """The host would no longer exclude those that stay with the first one. The other settings of
    the policy are for the second one, so none is written; other hosts are not left out."""
    settings = {"lock_manager": of_policy, "file_lockspace_dir": "/srv/locks/new"}
    policy = policy_from(
        {"groups": {"all": {"hosts": ["kvm*"], "settings": settings}}}, "fleet.yaml"
    )
    kind = {"qemu.conf": f'lock_manager = "{of_host}"\n'}
    store = store_of({"kvm01": kind, "kvm02": {"qemu.conf": 'lock_manager = "nop"\n'}})
    fleet = read_fleet(store, now=NOW, policy=policy)
    decide, *others = plan_of(fleet, store).steps
    assert (decide.action, decide.hosts) == ("decide", ("kvm01",))
    assert decide.details == (
        f'qemu.conf: lock_manager stays "{of_host}"; the policy says "{of_policy}"',
    )
    writes = [step for step in others if step.action == "write"]
    assert [step.hosts for step in writes] == [("kvm02",)]


def test_a_plan_waits_for_hosts_of_which_nothing_is_known() -> None:
    """They may run guests that lock nothing: no other host of the group is touched before."""
    policy = {
        "groups": {
            "all": {"hosts": ["kvm0[1-4]"], "settings": {"lock_manager": "lockd"}},
            "other": {"hosts": ["kvm05"], "settings": {"lock_manager": "lockd"}},
        }
    }
    nop = WRONG["no lock manager"]
    fine: dict[str, dict[str, Any]] = {
        "kvm01": {},
        "kvm02": nop,
        "kvm03": {},
        "kvm04": {},
        "kvm05": nop,
    }
    for unknown in (
        {key: value for key, value in fine.items() if key != "kvm04"},
        {**fine, "kvm04": {"age-hours": 100}},
        {**fine, "kvm04": {"age-hours": -10}},
    ):
        store = store_of(unknown)
        fleet = read_fleet(store, now=NOW, policy=policy_from(policy, "fleet.yaml"))
        found = plan_of(fleet, store)
        steps = {
            name: [step.action for step in found.steps if step.group == name]
            for name in ("all", "other")
        }
        assert steps["all"] == ["look"]
        assert "restart" in steps["other"]
        assert ("LA101", ("kvm02",)) in [(each.code, each.hosts) for each in found.uncovered]
        assert ("LA101", ("kvm05",)) in [(each.code, each.hosts) for each in found.covered]


def test_nothing_is_mounted_over_what_serves() -> None:
    """A host whose disks are where others have their lockspaces, or that has something else mounted
    above: the plan says so, and does nothing."""
    fine: dict[str, dict[str, Any]] = {"kvm01": {}, "kvm02": {}}
    storage = {"file_lockspace_dir": "nfs://10.0.0.5:/locks/files"}
    settings = {"file_lockspace_dir": "/srv/locks/files", "lock_manager": "lockd"}
    policy = {"groups": {"all": {"hosts": ["kvm*"], "settings": settings, "storage": storage}}}
    images = {"qemu.conf": "", "spaces": [], "guests": [_on("/srv/locks/files/a.qcow2")]}
    disks = {**_DIRECTORY, "path": "/srv/locks/files", "holds": ["disks"]}
    for directories in (
        [disks],
        [{**disks, "path": "/srv/locks/files/more"}],
        [{**disks, "mount": {**_LOCAL, "point": "/srv/locks"}}],
    ):
        changed = {**images, "directories": directories}
        store = store_of({**fine, "kvm03": changed})
        fleet = read_fleet(store, now=NOW, policy=policy_from(policy, "fleet.yaml"))
        steps = plan_of(fleet, store).steps
        assert [step.action for step in steps] == ["decide"]
        assert steps[0].hosts == ("kvm03",)
        assert not steps[0].work


def test_what_is_there_is_not_mounted_again() -> None:
    """A host that has the file system of the lockspaces, and never named one on it."""
    mount = {
        "point": "/srv/locks",
        "root": "/",
        "type": "nfs4",
        "source": "nfs1:/locks",
        "options": ["addr=10.0.0.5", "rw", "vers=4.2"],
    }
    there = {**_DIRECTORY, "path": "/srv/locks/iso", "holds": ["disks"], "mount": mount}
    steps = plan({"kvm03": {"qemu.conf": "", "spaces": [], "directories": [there]}})
    assert "mount" not in [step.action for step in steps]
    assert "decide" not in [step.action for step in steps]


_DIRECTORY: dict[str, Any] = {"mode": "0755", "owner": "root", "group": "root"}
_LOCAL: dict[str, Any] = {"root": "/", "type": "ext4", "source": "/dev/sda1", "options": ["rw"]}


def _on(path: str) -> dict[str, Any]:
    return {"name": "here", "disks": [path]}


def test_a_plan_covers_what_it_can_and_lists_the_rest() -> None:
    """What a step mends is found no more; what none mends is said, with what to do about it."""
    found = planned({"kvm03": {**WRONG["no lock manager"], "versions": {"libvirt": "1.0.0"}}})
    covered = {each.code for each in found.covered}
    assert {"LA101", "LA501"} <= covered
    assert not {each.code for each in found.uncovered if each.severity == "error"} & covered
    twice = {"guests": [{"name": "kvm01-guest", "disks": ["/srv/images/kvm01-guest.qcow2"]}]}
    assert "LA312" in {each.code for each in planned({"kvm03": twice}).uncovered}


def test_each_kind_of_fault_is_covered_or_listed() -> None:
    """For each thing that may be wrong with a host: what is found is in one of the two lists."""
    fine: dict[str, dict[str, Any]] = {"kvm01": {}, "kvm02": {}, "kvm03": {}}
    for name, changes in WRONG.items():
        found = planned({"kvm03": changes})
        said = {
            (each.code, host) for each in (*found.covered, *found.uncovered) for host in each.hosts
        }
        mended = {("LA102", host) for step in found.steps for host in step.hosts}
        policy = yaml.safe_load(proposed_policy(fleet_of(fine)))
        policy["groups"] = {"all": {**next(iter(policy["groups"].values())), "hosts": ["kvm*"]}}
        result = audited({**fine, "kvm03": changes}, policy)
        for finding in result.counted:
            assert {(finding.code, host) for host in finding.hosts} <= said | mended, name


def test_hosts_are_restarted_in_an_order_that_a_person_reads() -> None:
    """Those without guests first, and no range turns that round."""
    from lockcfg.report.audit.plan import in_order

    assert in_order(["kvm03", "kvm04", "kvm01", "kvm02"]) == "kvm[03-04], kvm[01-02]"
    assert in_order(["kvm10", "kvm09"]) == "kvm10, kvm09"


@pytest.mark.parametrize(
    "weak", ["no lock manager", "local lockspace", "auto leases off"], ids=lambda name: name
)
def test_hosts_that_lock_nothing_for_others_have_no_vote(weak: str) -> None:
    """However many they are; and where all are like that, nothing is proposed."""
    changes = WEAK[weak]
    one = proposed_policy(fleet_of({"kvm01": {}, **{f"kvm0{n}": changes for n in range(2, 7)}}))
    (group,) = yaml.safe_load(one)["groups"].values()
    fine = yaml.safe_load(proposed_policy(fleet_of({"kvm01": {}, "kvm02": {}})))
    (best,) = fine["groups"].values()
    assert (group["settings"], group["storage"]) == (best["settings"], best["storage"])
    none = proposed_policy(fleet_of({f"kvm0{n}": changes for n in range(2, 7)}))
    (group,) = yaml.safe_load(none)["groups"].values()
    assert not group.get("settings")
    assert "storage" not in group
    assert "# decide lock_manager" in none
    policy_from(yaml.safe_load(none), "fleet.yaml")


WEAK: dict[str, dict[str, Any]] = {
    **WRONG,
    "auto leases off": {"qemu-lockd.conf": "auto_disk_leases = 0\n"},
}


def test_the_better_protection_of_devices_is_proposed() -> None:
    """The one host that has names for block devices speaks for those that lock their nodes."""
    devices = {"guests": [{"name": "a", "disks": [{"path": "/dev/vg/a", "lvm_uuid": "a" * 32}]}]}
    without = {**devices, "qemu-lockd.conf": ""}
    text = proposed_policy(fleet_of({"kvm01": devices, "kvm02": without, "kvm03": without}))
    (group,) = yaml.safe_load(text)["groups"].values()
    assert group["settings"]["lvm_lockspace_dir"] == "/srv/locks/lvm"
    assert group["storage"]["lvm_lockspace_dir"] == "nfs://10.0.0.5:/locks/lvm"


def test_names_for_devices_are_not_outvoted() -> None:
    """The many that have none protect less, also if no guest has a device yet."""
    without = {"qemu-lockd.conf": 'file_lockspace_dir = "/srv/locks/files"\n', "spaces": []}
    settings = proposed({"kvm01": {}, **{f"kvm0{n}": without for n in range(2, 6)}})["settings"]
    assert settings["lvm_lockspace_dir"] == "/srv/locks/lvm"
    assert settings["scsi_lockspace_dir"] == "/srv/locks/scsi"
    assert settings["file_lockspace_dir"] == "/srv/locks/files"
    assert proposed({"kvm01": without, "kvm02": without})["settings"]["lvm_lockspace_dir"] is None


def test_a_first_policy_says_whom_it_leaves_out() -> None:
    """The policy has it in a comment, which no name of a host can end."""
    alone = {"images": {"mount": None}, "guests": []}
    named = {**alone, "host": {"name": "a\nwaivers: []"}}
    text = proposed_policy(fleet_of({"kvm01": {}, "kvm02": {}, "kvm08": alone, "kvm09": named}))
    assert '#   "kvm08"\n' in text
    assert '#   "a\\nwaivers: []"\n' in text
    assert set(yaml.safe_load(text)) == {"groups", "max-age-hours"}


def test_a_waiver_covers_what_it_names_until_its_day(lockcfg: RunLockcfg, tmp_path: Path) -> None:
    """With the reason in the report; and the exit status is that of what is left."""
    write_fleet(tmp_path / "s", {"kvm01": {}, "kvm02": WRONG["NFSv3"], "kvm03": WRONG["NFSv3"]})
    policy = tmp_path / "fleet.yaml"
    policy.write_text(
        "groups: {all: {hosts: ['kvm*']}}\n"
        "waivers:\n  - {rule: LA2, hosts: [kvm02], reason: old filer, until: 2035-01-01}\n"
    )
    now = ("--json", "--now", str(NOW), "--policy", policy, tmp_path / "s")
    result = lockcfg("audit", *now)
    assert result.returncode == 1
    found = [f for f in json.loads(result.stdout)["findings"] if f["code"] == "LA207"]
    assert [(f["hosts"], f["waived"] is not None) for f in found] == [
        (["kvm03"], False),
        (["kvm02"], True),
    ]
    policy.write_text(policy.read_text().replace("[kvm02]", "['kvm0[2-3]']"))
    assert lockcfg("audit", *now).returncode == 0


def test_whoever_waives_what_is_not_known_vouches_for_it() -> None:
    """Until the day that the waiver has."""
    hosts = {"kvm01": WRONG["MooseFS"], "kvm02": WRONG["MooseFS"]}
    waiver = {"rule": "LA210", "hosts": ["kvm*"], "reason": "tried", "until": "2035-01-01"}
    policy = {"groups": {"all": {"hosts": ["kvm*"]}}, "waivers": [waiver]}
    assert audited(hosts, policy).verdict.level == "safe"
    assert audited(hosts, policy).unknown == ()
    waiver["until"] = "2020-01-01"
    assert audited(hosts, policy).unknown == ("kvm01", "kvm02")
    waiver["hosts"] = ["kvm01"]
    waiver["until"] = "2035-01-01"
    assert audited(hosts, policy).unknown == ("kvm02",)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"qemu-lockd.conf": "", "spaces": []}, "is not in force"),
        (WRONG["local lockspace"], "is on ext4"),
        (WRONG["another export"], "is in nfs://10.0.0.6:/locks/files"),
        ({}, ""),
    ],
)
def test_a_policy_may_say_where_the_lockspaces_are(changes: dict[str, Any], said: str) -> None:
    """And nothing else: a host that has none there is told of."""
    storage = {"file_lockspace_dir": "nfs://10.0.0.5:/locks/files"}
    result = audited(
        {"kvm01": changes}, {"groups": {"all": {"hosts": ["kvm*"], "storage": storage}}}
    )
    messages = [finding.message for finding in findings_of(result, "LA501")]
    assert len(messages) == bool(said)
    assert all(said in message for message in messages)


@pytest.mark.parametrize(
    "text",
    [
        "groups: 7",
        "groups: {a: {}}",
        "groups: {a: {hosts: [x], settings: {lock_manager: lockdd}}}",
        "waivers: [{rule: LA999, hosts: [x], reason: y}]",
        "waivers: [{rule: LA101, hosts: [x], reason: y, until: 2026-13-01}]",
        "a: &a [*a]",
        "groups: {a: {hosts: ['kvm[1-99999999]']}}",
        "{",
    ],
)
def test_a_wrong_policy_is_told(text: str, lockcfg: RunLockcfg, tmp_path: Path) -> None:
    """With the place, and no traceback."""
    (tmp_path / "fleet.yaml").write_text(text)
    write_fleet(tmp_path / "s", {"kvm01": {}})
    result = lockcfg("audit", "--policy", tmp_path / "fleet.yaml", tmp_path / "s")
    assert result.returncode in (2, 3)
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("lockcfg: error: ")


@pytest.mark.parametrize(
    ("text", "where", "help"),
    [
        ("groups: {}\nwaiver: []\n", "2:1", "did you mean 'waivers'?"),
        ("groups:\n  all:\n    host: [kvm01]\n", "3:5", "did you mean 'hosts'?"),
        ("waivers:\n- {rule: LA1999, hosts: [a], reason: b}\n", "2:4", "see 'lockcfg rules'"),
        ("groups: [\n", "2:1", ""),
    ],
)
def test_a_wrong_policy_is_told_with_its_line(
    text: str, where: str, help: str, lockcfg: RunLockcfg, tmp_path: Path
) -> None:
    """And with what was probably meant."""
    (tmp_path / "fleet.yaml").write_text(text)
    result = lockcfg("audit", "--policy", tmp_path / "fleet.yaml", tmp_path)
    assert f"error: {tmp_path}/fleet.yaml:{where}: " in result.stderr
    assert help in result.stderr


# Plans


def planned(hosts: dict[str, dict[str, Any]], **settings: str) -> Plan:
    """The plan that makes hosts what a policy of hosts that are fine says, except for these
    ``settings``."""
    fine: dict[str, dict[str, Any]] = {"kvm01": {}, "kvm02": {}, "kvm03": {}}
    policy = yaml.safe_load(proposed_policy(fleet_of(fine)))
    policy["groups"] = {"all": {**next(iter(policy["groups"].values())), "hosts": ["kvm*"]}}
    group = policy["groups"]["all"]
    group["settings"].update(settings)
    group["storage"] = {key: group["storage"][key] for key in group["storage"].keys() - settings}
    store = store_of({**fine, **hosts})
    fleet = read_fleet(store, now=NOW, policy=policy_from(policy, "fleet.yaml"))
    return plan_of(fleet, store)


def plan(hosts: dict[str, dict[str, Any]]) -> list[Step]:
    """The steps of it."""
    return list(planned(hosts).steps)


def test_nothing_is_to_be_done_where_all_is_as_it_should_be() -> None:
    """No step at all."""
    assert plan({}) == []


def test_an_unprotected_host_is_changed_while_no_guest_may_start() -> None:
    """The hold first: what is written takes effect when a daemon restarts, and it may do that by
    itself. Then the files, the daemons, and the guests that run without locks."""
    steps = plan({"kvm03": WRONG["no lock manager"]})
    actions = [step.action for step in steps]
    assert actions == ["hold", "write", "start", "restart", "guests", "release", "check"]
    by_action = {step.action: step for step in steps}
    assert by_action["write"].details == ('qemu.conf: lock_manager = "lockd" (now "nop")',)
    assert by_action["restart"].hosts == ("kvm03",)
    assert by_action["restart"].gap
    assert by_action["guests"].hosts == ("kvm03",)
    assert by_action["hold"].hosts == ("kvm01", "kvm02", "kvm03")


def test_a_mount_where_nothing_is_yet_is_made_before_anything() -> None:
    """It is without effect until libvirt's daemon reads its files again."""
    steps = plan({"kvm03": {**WRONG["no lock manager"], "spaces": []}})
    actions = [step.action for step in steps]
    assert actions[:3] == ["mount", "hold", "write"]
    assert steps[0].details == ("at /srv/locks: nfs1:/locks (nfs4)",)
    assert not steps[0].gap
    (work,) = steps[0].work
    assert (work.do, work.hosts) == ("mount", ("kvm03",))
    assert work.data == {
        "path": "/srv/locks",
        "place": "nfs://10.0.0.5:/locks",
        "source": "nfs1:/locks",
        "type": "nfs4",
        "options": ["hard", "local_lock=none", "lookupcache=none", "vers=4.2", "_netdev"],
        "unmount": False,
    }
    assert work.commands[:3] == (
        "! mountpoint -q /srv/locks",
        "mkdir -p /srv/locks",
        'test -z "$(ls -A /srv/locks)"',
    )
    assert work.commands[-1] == "mount /srv/locks"


@pytest.mark.parametrize("told", [True, False])
def test_ceph_fuse_is_told_which_file_system_it_mounts(told: bool) -> None:
    """By default it mounts another one. Without what the client of another host says, no mount is
    proposed."""
    ids = ["cluster:f51d", *(["filesystem:vm", "root:/locks"] if told else [])]
    on = {"type": "fuse.ceph-fuse", "source": "ceph-fuse", "options": ["rw"], "ids": ids}
    fine = {f"kvm0{number}": {"lockspace": {"mount": on}} for number in (1, 2)}
    place = next(
        space.place.shown
        for cell in fleet_of(fine).cells
        for space in cell.facts.spaces
        if space.path == "/srv/locks/files"
    )
    settings = {"file_lockspace_dir": "/srv/locks/files", "lock_manager": "lockd"}
    storage = {"file_lockspace_dir": place}
    policy = {"groups": {"all": {"hosts": ["kvm*"], "settings": settings, "storage": storage}}}
    store = store_of({**fine, "kvm03": {"qemu.conf": "", "spaces": []}})
    fleet = read_fleet(store, now=NOW, policy=policy_from(policy, "fleet.yaml"))
    steps = plan_of(fleet, store).steps
    if not told:
        assert "mount" not in [step.action for step in steps]
        return
    (work,) = next(step.work for step in steps if step.action == "mount")
    assert work.data["type"] == "fuse.ceph"
    wanted = ["ceph.client_fs=vm", "ceph.client_mountpoint=/locks", "_netdev"]
    assert work.data["options"] == wanted


def test_another_mount_is_made_on_a_host_without_guests_and_while_none_may_start() -> None:
    """It takes effect at once; and the lock daemon removes by path what it locked before."""
    steps = plan({"kvm03": WRONG["another export"]})
    actions = [step.action for step in steps]
    assert actions == ["hold", "empty", "mount", "guests", "release", "check"]
    by_action = {step.action: step for step in steps}
    assert by_action["empty"].hosts == by_action["mount"].hosts == ("kvm03",)
    assert by_action["mount"].gap
    # One file system for three lockspaces is unmounted once, and mounted once.
    (work,) = by_action["mount"].work
    assert work.data["unmount"]
    assert work.commands[0] == "umount /srv/locks"
    # The guests that were saved to disk resume when that is done.
    assert [each.do for each in by_action["empty"].work] == ["save"]
    assert [each.do for each in by_action["guests"].work] == ["start"]
    idle = {**WRONG["another export"], "guests": []}
    assert "empty" not in [step.action for step in plan({"kvm03": idle})]


@pytest.mark.parametrize("storage", [True, False])
def test_a_mount_that_keeps_its_locks_is_mounted_again(storage: bool) -> None:
    """Whether the policy says where the lockspace is or not; and without the option also if no host
    has it mounted without it."""
    if storage:
        hosts: dict[str, dict[str, Any]] = {"kvm03": WRONG["nolock"]}
        found = planned(hosts)
    else:
        store = store_of({"kvm01": WRONG["nolock"], "kvm03": WRONG["nolock"]})
        policy = policy_from({"groups": {"all": {"hosts": ["kvm*"]}}}, "fleet.yaml")
        found = plan_of(read_fleet(store, now=NOW, policy=policy), store)
    actions = [step.action for step in found.steps]
    assert actions == ["hold", "empty", "mount", "guests", "release", "check"]
    (work,) = found.steps[2].work
    assert work.data["unmount"]
    assert "nolock" not in work.data["options"]
    assert "LA205" in {each.code for each in found.covered}
    assert not {"error"} & {each.severity for each in found.uncovered}


def test_a_directory_that_is_missing_is_made_where_its_file_system_is_mounted() -> None:
    """Nothing else is needed, and never below a mount point with nothing on it."""
    found = planned({"kvm03": WRONG["missing lockspace"]})
    assert [step.action for step in found.steps] == ["mount", "check"]
    first = found.steps[0].work[0]
    assert first.commands == ("mountpoint -q /srv/locks && mkdir -p -m 0700 /srv/locks/files",)
    assert (len(found.covered), list(found.uncovered)) == (1, [])


def test_a_directory_that_nobody_has_seen_is_made_when_it_is_configured() -> None:
    """No snapshot tells before whether it is there; after that a plan of new snapshots asks for
    nothing that this one does not do."""
    found = planned({}, scsi_lockspace_dir="/srv/locks/new")
    assert [step.action for step in found.steps][:3] == ["write", "mount", "restart"]
    (work,) = found.steps[1].work
    assert work.commands == ("mountpoint -q /srv/locks && mkdir -p -m 0700 /srv/locks/new",)
    # Where another host has it already, and on a file system that no host has mounted.
    for path in ("/srv/locks/files", "/var/lib/elsewhere"):
        actions = [step.action for step in planned({}, scsi_lockspace_dir=path).steps]
        assert "mount" not in actions, path


def test_a_lock_manager_is_never_taken_for_another_one() -> None:
    """A person decides when sanlock no longer protects a host; the proposal leaves it open, too."""
    sanlock = {"qemu.conf": 'lock_manager = "sanlock"\n'}
    steps = plan({"kvm03": sanlock})
    (decide,) = (step for step in steps if step.action == "decide")
    assert decide.hosts == ("kvm03",)
    assert 'lock_manager stays "sanlock"; the policy says "lockd"' in decide.details[0]
    assert not any(
        "lock_manager" in line for step in steps for line in step.details if step != decide
    )
    proposed = proposed_policy(fleet_of({"kvm01": {}, "kvm02": {}, "kvm03": sanlock}))
    assert '# decide lock_manager, which differs (hosts): "lockd" (2), "sanlock" (1)' in proposed
    assert "lock_manager: " not in proposed


def test_what_names_block_devices_is_installed_while_no_guest_may_start() -> None:
    """It takes effect at once, too, and the guests there have locks of other names."""
    steps = plan({"kvm03": WRONG["no lvs"]})
    assert [step.action for step in steps] == ["hold", "install", "guests", "release", "check"]
    assert steps[1].hosts == ("kvm03",)
    assert steps[1].details == ("lvm2: lvm_lockspace_dir has no effect without lvs",)
    assert plan({"kvm03": {"tools": {"lvs": False}}}) == [], "nobody has block devices"


def test_a_lock_daemon_that_does_not_know_its_limit_is_told() -> None:
    """Its file was changed after its start."""
    steps = plan({"kvm03": {"edited": {"virtlockd.conf": 1}}})
    assert [step.action for step in steps] == ["limit", "check"]
    (work,) = steps[0].work
    assert work.data["command"][-2:] == ["--max-clients", "4096"]


def test_a_host_whose_files_are_newer_than_its_daemon_is_restarted_while_no_guest_may_start() -> (
    None
):
    """Until then, where the host locks is unknown."""
    steps = plan({"kvm03": WRONG["edited later"]})
    assert [step.action for step in steps] == ["hold", "restart", "guests", "release", "check"]
    assert steps[0].details == (
        "1 of them now: unknown, as their files were changed after the daemon started",
    )


def test_a_lock_daemon_is_started_before_libvirt_asks_it() -> None:
    """Also if the files were written by an earlier run and libvirt is not restarted yet."""
    idle = {**WRONG["edited later"], "guests": []}
    assert "start" not in [step.action for step in plan({"kvm03": idle})]
    steps = plan({"kvm03": {**idle, "daemons": {"virtlockd": None}}})
    assert [step.action for step in steps] == ["hold", "start", "restart", "release", "check"]


def test_guests_under_other_locks_are_in_the_plan() -> None:
    """Also if the host is what the policy says, as an earlier run was stopped before them."""
    disk = {"path": "/srv/images/kvm03.qcow2", "lock": "/srv/elsewhere"}
    found = planned({"kvm03": {"guests": [{"name": "kvm03-guest", "disks": [disk]}]}})
    assert "LA109" not in {each.code for each in found.uncovered}
    assert [step.action for step in found.steps] == ["guests", "check"]


def test_guests_that_nothing_protects_are_in_the_plan() -> None:
    """Though nothing changes on the host; and each is named."""
    steps = plan({"kvm03": WRONG["young lock daemon"]})
    assert [step.action for step in steps] == ["guests", "check"]
    assert steps[0].details == ("kvm03: kvm03-guest",)


def test_the_plan_says_whom_it_leaves_out(lockcfg: RunLockcfg, tmp_path: Path) -> None:
    """A plan is incomplete with hosts without a snapshot, with unreadable snapshots, and with old
    facts."""
    hosts: dict[str, dict[str, Any]] = {"kvm01": {}, "kvm02": {"age-hours": 100}}
    folder = write_fleet(tmp_path / "s", hosts)
    policy = tmp_path / "fleet.yaml"
    policy.write_text("groups: {all: {hosts: ['kvm0[1-2]', kvm04]}}\n")
    (folder / "kvm03.json").write_text("{")
    options = ("--now", str(NOW), "--policy", policy)
    result = lockcfg("plan", *options, folder)
    assert result.returncode == 1
    for said in ("no plan, for kvm04", "kvm03.json: it is cut off", "the facts of kvm02"):
        assert said in result.stdout
    assert "look: kvm[02,04]" in result.stdout
    report = json.loads(lockcfg("plan", "--json", *options, folder).stdout)
    assert (report["missing"], report["old"]) == (["kvm04"], ["kvm02"])
    assert report["unreadable"][0]["source"] == str(folder / "kvm03.json")
    policy.write_text("groups: {all: {hosts: [kvm01]}}\n")
    result = lockcfg("plan", *options, folder / "kvm01.json")
    assert (result.returncode, result.stdout) == (
        0,
        "nothing to do: the hosts are as the policy says\n",
    )
    other = {"kvm01": WRONG["recover_lost_locks"], "kvm02": {}}
    write_fleet(tmp_path / "other", other)
    policy.write_text("groups: {all: {hosts: ['kvm[01-02]']}}\n")
    result = lockcfg("plan", *options, tmp_path / "other")
    assert result.returncode == 1
    assert "[LA206]" in result.stdout
    assert result.stdout.endswith("no step: the plan covers nothing of what is listed above\n")
    page = lockcfg("plan", "--format", "html", *options, tmp_path / "other").stdout
    assert "Nothing to do" not in page
    (tmp_path / "empty").mkdir()
    policy.write_text("")
    assert lockcfg("plan", *options, tmp_path / "empty").returncode == 3


def test_a_limit_is_raised_without_a_hold() -> None:
    """It moves no lock, so guests may go on starting."""
    actions = [step.action for step in plan({"kvm03": WRONG["few clients"]})]
    assert actions == ["write", "limit", "check"]


def test_the_command_prints_the_plan(lockcfg: RunLockcfg, tmp_path: Path) -> None:
    """And its JSON is what the schema says; without a policy there is none."""
    write_fleet(tmp_path / "s", demo())
    policy = tmp_path / "fleet.yaml"
    now = ("--now", str(NOW))
    assert lockcfg("audit", *now, "--write-policy", policy, tmp_path / "s").returncode == 0
    assert lockcfg("audit", *now, "--write-policy", policy, tmp_path / "s").returncode == 2
    text = lockcfg("plan", *now, "--policy", policy, tmp_path / "s")
    assert text.returncode == 1
    assert "hold: kvm[01-12]" in text.stdout
    page = tmp_path / "plan.html"
    how = ("--format", "html", "--output-file", page, *now, "--policy", policy, tmp_path / "s")
    assert lockcfg("plan", *how).returncode == 1
    assert "systemctl restart $daemon" in page.read_text()
    result = lockcfg("plan", "--json", *now, "--policy", policy, tmp_path / "s")
    schema = {**load_schema("output"), "$ref": "#/$defs/plan"}
    assert violations(json.loads(result.stdout), schema) == []
    assert lockcfg("plan", tmp_path / "s").returncode == 2


def test_a_plan_names_only_guests_that_its_commands_reach() -> None:
    """Not QEMU without libvirt, nor a user's own; and each guest by its own driver."""
    disks = {"disks": ["/srv/images/more.qcow2"]}
    guests = [
        {"name": "kvm03-guest", "disks": ["/srv/images/kvm03-guest.qcow2"]},
        {"name": "bare", "instance": "process", **disks},
        {"name": "own", "instance": "session", **disks},
        {"name": "xen", "driver": "libxl", **disks},
    ]
    found = planned({"kvm03": {**WRONG["no lock manager"], "guests": guests}})
    (step,) = [each for each in found.steps if each.action == "guests"]
    assert step.details == ("kvm03: kvm03-guest, xen",)
    commands = [command for work in step.work for command in work.commands]
    assert commands == [
        "virsh -c qemu:///system managedsave --domain kvm03-guest",
        "virsh -c qemu:///system start --domain kvm03-guest",
        "virsh -c xen:///system managedsave --domain xen",
        "virsh -c xen:///system start --domain xen",
    ]
    assert "LA111" in {each.code for each in found.uncovered}


def test_a_plan_says_first_what_keeps_hosts_from_being_safe() -> None:
    """A rollout stops there, and not when all is done and every host is held."""
    direct = {
        "qemu-lockd.conf": "",
        "spaces": [],
        "images": {"mount": {"type": "fuse.glusterfs", "source": "g1:/vms", "options": ["rw"]}},
    }
    hosts: dict[str, dict[str, Any]] = {
        "kvm01": direct,
        "kvm02": direct,
        "kvm03": {**direct, "qemu.conf": ""},
    }
    store = store_of(hosts)
    group: dict[str, Any] = {"hosts": ["kvm*"], "settings": {"lock_manager": "lockd"}}
    policy = policy_from({"groups": {"all": group}}, "fleet.yaml")
    found = plan_of(read_fleet(store, now=NOW, policy=policy), store)
    assert [step.action for step in found.steps[:3]] == ["decide", "hold", "write"]
    # Of the third it is not known which lock daemon runs once it locks.
    assert found.steps[0].hosts == ("kvm01", "kvm02")
    (detail,) = found.steps[0].details
    assert "[LA318]: set file_lockspace_dir, or run lockd" in detail
    assert {each.code for each in found.uncovered} == {"LA318"}
    # A lockspace mends it.
    assert "decide" not in [step.action for step in planned({"kvm03": direct}).steps]


def test_a_running_guest_that_libvirt_does_not_know_is_not_safe() -> None:
    """Every other host is granted its disk, also if none has a guest with it yet. A disk of the
    host's own file system no other host can reach."""

    def level(told: dict[str, Any]) -> str:
        guests = [{"name": "bare", "instance": "process", **told}]
        return audited({"kvm01": {}, "kvm02": {"guests": guests}}).verdict.level

    shared = {"disks": ["/srv/images/bare"]}
    assert level(shared) == "unsafe"
    assert level({"disks": [{"path": "/dev/sdx", "type": "block"}]}) == "unsafe"
    assert level({**shared, "running": False}) == "safe"
    local = {"mount": {**_LOCAL, "point": "/"}, "path": "/var/tmp", "holds": ["disks"]}
    guests = [{"name": "bare", "instance": "process", "disks": ["/var/tmp/bare"]}]
    there = {"guests": guests, "directories": [{**_DIRECTORY, **local}]}
    assert audited({"kvm01": {}, "kvm02": there}).verdict.level == "safe"


def test_the_page_names_a_host_once_for_its_commands() -> None:
    """Those of one host that follow each other are together, in their order."""
    import io

    from lockcfg.report.audit.plan import LeftOut
    from lockcfg.report.audit.plan_page import write_page

    found = planned({"kvm02": WRONG["no lock manager"], "kvm03": WRONG["no lock manager"]})
    page = io.StringIO()
    write_page(found, LeftOut([], [], []), page, now=NOW)
    said = page.getvalue()
    assert said.count("On kvm02:") == said.count("On kvm03:") == 1
    commands = [
        f"virsh -c qemu:///system {do} --domain kvm02-guest" for do in ("managedsave", "start")
    ]
    assert "\n".join(commands) in said
