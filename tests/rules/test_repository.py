"""The rules about all hosts of a repository together."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lockcfg.conf.files import KINDS, READ
from lockcfg.conf.load import load_directory, parse
from lockcfg.rules import TABLE, rule_module
from lockcfg.rules.rule import HostFiles, Options, RepositorySubject
from tests.conftest import SAMPLES

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from lockcfg.conf.document import Document
    from lockcfg.findings import Finding

DUPLICATE = "lk501_duplicate_host"
UNUSED = "lk502_unused_file"
ODD = "lk503_odd_one_out"
RULES = (DUPLICATE, UNUSED, ODD)

LOCKD = 'lock_manager = "lockd"\n'
NOP = 'lock_manager = "nop"\n'


def repository(files: Mapping[str, str | None]) -> list[HostFiles]:
    """The hosts of a repository, given by the paths of their files and the texts of these; None
    is one that cannot be parsed. Files of one text share one document, as in the linter."""
    documents: dict[tuple[str, str], Document] = {}
    hosts: dict[str, dict[str, Document | None]] = {}
    for path, text in files.items():
        directory, _, name = path.rpartition("/")
        of_host = hosts.setdefault(directory, {})
        if text is None:
            of_host[name] = None
            continue
        if (name, text) not in documents:
            documents[name, text] = parse(text.encode(), READ[name], name)
        of_host[name] = documents[name, text]
    return [HostFiles(directory, of_host) for directory, of_host in hosts.items()]


def findings(
    rule: str, hosts: Sequence[HostFiles], groups: Mapping[str, Sequence[str]] | None = None
) -> list[Finding]:
    """What a rule finds, by path and setting."""
    subject = RepositorySubject(hosts)
    all_found = list(rule_module(rule).check(subject, Options(groups=groups)))
    assert all(found.fix is None for found in all_found)
    return sorted(
        (found.finding for found in all_found), key=lambda f: (f.path, f.key or "", f.message)
    )


def paths(
    rule: str, files: Mapping[str, str | None], groups: Mapping[str, Sequence[str]] | None = None
) -> list[str]:
    """Where a rule finds something."""
    return [finding.path for finding in findings(rule, repository(files), groups)]


# --- the manuals ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [name for name in TABLE if rule_module(name).RULE.scope == "repository"]
)
def test_the_examples_of_the_manual(name: str) -> None:
    """One is found, and what to use instead is not."""
    sections = re.split(r"^## (.+)\n", rule_module(name).__doc__ or "", flags=re.MULTILINE)
    texts = dict(zip(sections[1::2], sections[2::2], strict=True))
    for heading, expected in (("Example", True), ("Use instead", False)):
        files: dict[str, str | None] = {}
        groups = None
        for language, path, body in re.findall(
            r"^```(\S+) (\S+)\n(.*?)^```$", texts[heading], re.MULTILINE | re.DOTALL
        ):
            if language == "yaml":
                groups = yaml.safe_load(body)["groups"]
            else:
                files[path] = body
        found = findings(name, repository(files), groups)
        assert bool(found) == expected
        assert {finding.path for finding in found} <= set(files)


# --- hosts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("directory", "host", "name"),
    [
        ("hosts/kvm01", "hosts/kvm01", "kvm01"),
        ("hosts/kvm01/etc/libvirt", "hosts/kvm01", "kvm01"),
        ("kvm01/files/root/etc/libvirt/", "kvm01", "kvm01"),
        ("kvm01", "kvm01", "kvm01"),
        ("etc/libvirt", "", ""),
        ("/etc/libvirt", "", ""),
        (".", "", ""),
        ("", "", ""),
    ],
)
def test_the_name_of_a_host(directory: str, host: str, name: str) -> None:
    """The last part of its directory that is not the same for all."""
    files = HostFiles(directory, {})
    assert (files.host, files.name) == (host, name)


# --- LK501 ----------------------------------------------------------------------------------


def test_a_host_in_two_places() -> None:
    """It is said of the later one, by name, and tells the first."""
    (finding,) = findings(
        DUPLICATE,
        repository(
            {
                "site/kvm01/virtlockd.conf": "",
                "site/kvm01/qemu.conf": LOCKD,
                "hosts/kvm01/etc/libvirt/qemu.conf": LOCKD,
                "hosts/kvm02/etc/libvirt/qemu.conf": LOCKD,
            }
        ),
    )
    assert finding.path == "site/kvm01/qemu.conf"
    assert "'kvm01' is in hosts/kvm01 as well" in finding.message


def test_each_further_place_is_one_finding() -> None:
    """However many there are, and however the name is spelled."""
    files = {f"{place}/{name}/qemu.conf": NOP for place, name in ("ah", "bH", "ch")}
    assert paths(DUPLICATE, files) == ["b/H/qemu.conf", "c/h/qemu.conf"]


@pytest.mark.parametrize(
    "other",
    [
        "hosts/kvm01/usr/etc/libvirt",
        "roles/kvm01/files",
        "puppet/modules/kvm01/files",
        "kvm01/home/joe/.config/libvirt",
        "other/kvm02",
        "etc/libvirt",
    ],
)
def test_what_is_no_second_place(other: str) -> None:
    """The same directory, what is not a host, and a user's own files."""
    assert paths(DUPLICATE, {"hosts/kvm01/qemu.conf": "", f"{other}/qemu.conf": ""}) == []


def test_hosts_of_two_groups_may_share_a_name() -> None:
    """As in production and staging."""
    files = {"prod/kvm01/qemu.conf": "", "stage/kvm01/qemu.conf": "", "old/kvm01/qemu.conf": ""}
    groups = {"prod": ["prod/*"], "stage": ["stage/*"]}
    assert paths(DUPLICATE, files) == ["prod/kvm01/qemu.conf", "stage/kvm01/qemu.conf"]
    assert paths(DUPLICATE, files, groups) == ["prod/kvm01/qemu.conf", "stage/kvm01/qemu.conf"]
    del files["old/kvm01/qemu.conf"]
    assert paths(DUPLICATE, files, groups) == []
    assert paths(DUPLICATE, files, {"all": ["prod/*", "stage/*"], **groups}) != []


# --- LK502 ----------------------------------------------------------------------------------

SETS = 'file_lockspace_dir = "/srv/locks"\n'


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"qemu.conf": LOCKD, "libxl-lockd.conf": SETS}, ["h/libxl-lockd.conf"]),
        ({"libxl.conf": LOCKD, "qemu-lockd.conf": SETS}, ["h/qemu-lockd.conf"]),
        ({"qemu.conf": None, "libxl-lockd.conf": SETS}, ["h/libxl-lockd.conf"]),
        ({"qemu.conf": LOCKD, "libxl-lockd.conf": "# sets nothing\n"}, []),
        ({"qemu.conf": LOCKD, "libxl.conf": None, "libxl-lockd.conf": SETS}, []),
        ({"qemu.conf": LOCKD, "qemu-lockd.conf": SETS, "virtlockd.conf": ""}, []),
        ({"qemu-lockd.conf": SETS, "libxl-lockd.conf": SETS, "virtlockd.conf": ""}, []),
        ({"libxl-lockd.conf": None, "qemu.conf": LOCKD}, []),
    ],
)
def test_a_file_that_nothing_reads(files: dict[str, str | None], expected: list[str]) -> None:
    """Only what is surely unused, and misleads."""
    assert paths(UNUSED, {f"h/{name}": text for name, text in files.items()}) == expected


# --- LK503 ----------------------------------------------------------------------------------


def cluster(
    number: int, odd: Mapping[str, str | None], name: str = "qemu.conf"
) -> dict[str, str | None]:
    """The files of some hosts that are alike, with those of ``odd`` in their places."""
    files: dict[str, str | None] = {
        f"hosts/kvm{n:02}/qemu.conf": LOCKD for n in range(1, number + 1)
    }
    files.update({f"hosts/{host}/{name}": text for host, text in odd.items()})
    return files


def test_one_host_without_a_lock_manager() -> None:
    """The setting, this value, the common one, and how many have it, where it is set."""
    (finding,) = findings(ODD, repository(cluster(10, {"kvm07": f"\n{NOP}"})))
    assert finding.path == "hosts/kvm07/qemu.conf"
    assert finding.key == "lock_manager"
    assert finding.message == (
        '\'lock_manager\' is "nop" here and "lockd" on 9 of the 10 hosts in hosts'
    )
    assert "may be wrong" in finding.help
    assert finding.place is not None
    assert (finding.place.path, finding.place.line) == ("hosts/kvm07/qemu.conf", 2)


def test_a_default_is_a_value_too() -> None:
    """There is no line to point at then, and perhaps no file."""
    (finding,) = findings(ODD, repository(cluster(5, {"kvm03": "# nothing\n"})))
    assert 'is "nop" by default here and "lockd" on 4 of the 5' in finding.message
    assert finding.place is None
    files = cluster(5, {f"kvm{n:02}": SETS for n in range(1, 5)}, "qemu-lockd.conf")
    (finding,) = findings(ODD, repository(files))
    assert "'file_lockspace_dir' is not set here and \"/srv/locks\" on 4" in finding.message
    assert finding.path == "hosts/kvm05/qemu.conf"


def test_how_it_is_written_does_not_matter() -> None:
    """Only what is in force."""
    other = f"# our own\n{LOCKD}user = 'joe'\nlock_manager = \"nop\"\n"
    assert paths(ODD, cluster(9, {"kvm03": other})) == []
    files = cluster(5, {"kvm01": "max_clients = 1024\n"}, "virtlockd.conf")
    assert paths(ODD, files) == []


@pytest.mark.parametrize(
    ("hosts", "odd", "expected"), [(4, 1, 0), (5, 1, 1), (9, 2, 0), (10, 2, 2), (10, 3, 0)]
)
def test_the_others_are_at_least_80_percent_of_five(hosts: int, odd: int, expected: int) -> None:
    """With less there is no majority to speak of."""
    files = cluster(hosts, {f"kvm{n:02}": NOP for n in range(1, odd + 1)})
    assert len(paths(ODD, files)) == expected


def test_neighbours_are_those_in_one_directory() -> None:
    """Wherever below their own their files are."""
    files: dict[str, str | None] = {f"a/h{n}/etc/libvirt/qemu.conf": LOCKD for n in range(5)}
    files |= {f"b/h{n}/qemu.conf": NOP for n in range(4)}
    assert paths(ODD, files) == []
    files["a/h5/qemu.conf"] = NOP
    assert paths(ODD, files) == ["a/h5/qemu.conf"]


def test_groups_of_the_settings() -> None:
    """They are the only ones then, and a host that is odd in two is said once."""
    files = cluster(10, {"kvm01": NOP, "kvm02": NOP, "kvm03": NOP})
    assert paths(
        ODD, files, {"few": ["hosts/kvm0[3-9]"], "more": ["hosts/kvm0[3-9]", "*/*10"]}
    ) == ["hosts/kvm03/qemu.conf"]
    assert paths(ODD, files, {"none": ["elsewhere/*"]}) == []
    assert paths(ODD, cluster(10, {"kvm01": NOP}), {"none": ["elsewhere/*"]}) == []


def test_what_follows_from_another_setting_is_not_said() -> None:
    """auto_disk_leases = 0 makes require_lease_for_disks 1."""
    files = cluster(5, {"kvm02": "auto_disk_leases = 0\n"}, "qemu-lockd.conf")
    (finding,) = findings(ODD, repository(files))
    assert finding.key == "auto_disk_leases"
    text = "auto_disk_leases = 0\nrequire_lease_for_disks = 1\n"
    found = findings(ODD, repository(cluster(5, {"kvm02": text}, "qemu-lockd.conf")))
    assert [each.key for each in found] == ["auto_disk_leases", "require_lease_for_disks"]


def test_a_host_that_cannot_be_read_is_not_compared() -> None:
    """It has a finding of its own."""
    assert paths(ODD, cluster(6, {"kvm02": None})) == []
    assert paths(ODD, cluster(5, {"kvm02": None, "kvm03": NOP})) == []


def test_both_drivers_read_virtlockd_conf() -> None:
    """What it sets is said once."""
    files: dict[str, str | None] = {}
    for n in range(5):
        clients = "max_clients = 5\n" if n == 3 else ""
        for name, text in (("qemu.conf", ""), ("libxl.conf", ""), ("virtlockd.conf", clients)):
            files[f"hosts/h{n}/{name}"] = text
    assert paths(ODD, files) == ["hosts/h3/virtlockd.conf"]


def test_a_message_is_one_line_whatever_the_value_is() -> None:
    """A path may have line ends in it."""
    text = f'file_lockspace_dir = """/a\n{"b" * 500}"""\n'
    (finding,) = findings(ODD, repository(cluster(5, {"kvm02": text}, "qemu-lockd.conf")))
    assert "\n" not in finding.message
    assert len(finding.message) < 300


# --- all of them ----------------------------------------------------------------------------

TEXTS: dict[str, list[str | None]] = {
    "qemu.conf": ["", LOCKD, NOP, None],
    "libxl.conf": ["", LOCKD],
    "qemu-lockd.conf": ["", SETS, "auto_disk_leases = 0\n", None],
    "libxl-lockd.conf": ["", SETS],
    "virtlockd.conf": ["", "max_clients = 5\n"],
}

FILES = st.dictionaries(
    st.tuples(
        st.sampled_from(["", "a/", "b/", "roles/"]),
        st.sampled_from([f"h{n}" for n in range(7)]),
        st.sampled_from(["", "/etc/libvirt"]),
        st.sampled_from(sorted(TEXTS)),
    ),
    st.integers(0, 3),
    max_size=60,
).map(
    lambda drawn: {
        f"{place}{host}{tail}/{name}": TEXTS[name][number % len(TEXTS[name])]
        for (place, host, tail, name), number in drawn.items()
    }
)


@given(
    files=FILES,
    order=st.randoms(use_true_random=False),
    groups=st.sampled_from([{}, {"a": ["a/*"], "all": ["*"]}]),
)
def test_the_order_of_the_hosts_does_not_matter(
    files: dict[str, str | None], order: random.Random, groups: dict[str, list[str]]
) -> None:
    """Nor that of their files; and what is found is about files that are there."""
    hosts = repository(files)
    shuffled = []
    for host in order.sample(hosts, len(hosts)):
        names = order.sample(sorted(host.documents), len(host.documents))
        documents = {name: host.documents[name] for name in names}
        shuffled.append(HostFiles(host.directory, documents))
    for rule in RULES:
        found = findings(rule, hosts, groups)
        assert found == findings(rule, shuffled, groups)
        assert {finding.path for finding in found} <= set(files)
        assert len({(finding.path, finding.key) for finding in found}) == len(found)
        for finding in found:
            assert finding.place is None or finding.place.path == finding.path


def test_ten_thousand_hosts() -> None:
    """Documents are compared by identity: what is the same costs nothing."""
    samples = load_directory(SAMPLES)
    common: dict[str, Document | None] = {
        **samples,
        "qemu.conf": parse(
            (SAMPLES / "qemu.conf").read_bytes() + LOCKD.encode(), KINDS["qemu.conf"], "qemu.conf"
        ),
    }
    hosts = []
    for n in range(10_000):
        documents = common
        if n % 20 == 0:
            own = parse(b'# %d\nlock_manager = "nop"\n' % n, KINDS["qemu.conf"], "qemu.conf")
            documents = {**common, "qemu.conf": own}
        hosts.append(HostFiles(f"hosts/kvm{n:05}/etc/libvirt", documents))
    subject = RepositorySubject(hosts)
    options = Options(groups={"all": ["hosts/*"]})
    start = time.process_time()
    found = [len(list(rule_module(rule).check(subject, options))) for rule in RULES]
    took = time.process_time() - start
    assert found == [0, 0, 500]
    assert took < 1


@pytest.mark.parametrize("rule", RULES)
def test_the_samples_are_fine(rule: str) -> None:
    """On one host and on ten."""
    samples = load_directory(SAMPLES)
    assert findings(rule, [HostFiles("etc/libvirt", samples)]) == []
    assert findings(rule, [HostFiles(f"hosts/h{n}/etc/libvirt", samples) for n in range(10)]) == []
