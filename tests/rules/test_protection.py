"""The rules of protection: is anything locked, and against which guests?"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lockcfg.conf.document import Document, encode
from lockcfg.conf.files import KINDS, kinds_of
from lockcfg.conf.load import parse
from lockcfg.conf.settings import spell
from lockcfg.host.host import LOCKSPACE_KEYS, Configuration
from lockcfg.host.protection import protection_of
from lockcfg.rules import TABLE, rule_module
from lockcfg.rules.lockspaces import relation
from lockcfg.rules.rule import FileSubject, HostSubject, Options
from tests.conftest import SAMPLES

if TYPE_CHECKING:
    from lockcfg.conf.files import Driver
    from lockcfg.host.protection import Level
    from lockcfg.rules.rule import Fix, RuleFinding

MODULES = [rule_module(name) for name in TABLE if name.startswith("lk2")]

LOCKD = 'lock_manager = "lockd"\n'
FILES = 'file_lockspace_dir = "/srv/locks/files"\n'
LVM = 'lvm_lockspace_dir = "/srv/locks/lvm"\n'
SCSI = 'scsi_lockspace_dir = "/srv/locks/scsi"\n'
OFF = "auto_disk_leases = 0\n"
SELINUX = 'security_driver = "selinux"\n'


def host(
    qemu: str = "",
    lockd: str | None = None,
    daemon: str | None = None,
    driver: Driver = "qemu",
    sanlock: str | None = None,
) -> Configuration:
    """A host with these files; None is one that is not there."""
    texts = {
        f"{driver}.conf": qemu,
        f"{driver}-lockd.conf": lockd,
        f"{driver}-sanlock.conf": sanlock,
        "virtlockd.conf": daemon,
    }
    documents = {}
    for kind in kinds_of(driver):
        text = texts.get(kind.name, "")
        documents[kind.role] = (
            Document(kind, kind.name, None, ())
            if text is None
            else parse(encode(text), kind, kind.name)
        )
    return Configuration(driver, documents)


def found_in(it: Configuration, options: Options | None = None) -> list[tuple[str, RuleFinding]]:
    """What the rules find in a host, each with the rule's code."""
    subject = HostSubject("", it)
    return [
        (module.RULE.code, found)
        for module in MODULES
        for found in module.check(subject, options or Options())
    ]


def codes(it: Configuration, options: Options | None = None) -> list[str]:
    """The codes of the rules that find something, one for each finding."""
    return [code for code, _ in found_in(it, options)]


def only(it: Configuration, code: str, options: Options | None = None) -> tuple[str, str, str]:
    """The one finding of a rule: its severity, where it is, and its message."""
    (finding,) = (found.finding for each, found in found_in(it, options) if each == code)
    return finding.severity, str(finding.place or finding.path), finding.message


def fix_of(it: Configuration, code: str) -> Fix | None:
    """The fix of the one finding of a rule."""
    (found,) = (found for each, found in found_in(it) if each == code)
    return found.fix


# Is anything locked?


def test_no_lock_manager() -> None:
    """libvirt locks nothing by itself, whether the lock daemon runs or not."""
    it = host('user = "qemu"\n', "# nothing\n", "max_clients = 2048\n")
    assert codes(it) == ["LK201"]
    assert only(it, "LK201") == (
        "warning",
        "qemu.conf",
        "qemu.conf sets no lock_manager: two guests can write one disk at the same time",
    )
    assert codes(host()) == ["LK201"]
    assert only(host(driver="libxl"), "LK201")[1] == "libxl.conf"


def test_a_lock_manager_that_is_turned_off() -> None:
    """Which may be on purpose."""
    it = host('\n lock_manager = "nop" # no\n')
    assert codes(it) == ["LK202"]
    assert only(it, "LK202")[:2] == ("warning", "qemu.conf:2:17")


@pytest.mark.parametrize("lockd", [FILES, LVM, SCSI, "auto_disk_leases = 1\n", OFF])
def test_lockd_is_set_up_and_not_in_use(lockd: str) -> None:
    """Any setting of lockd says that someone believes in it."""
    assert codes(host("", lockd)) == ["LK203"]
    assert only(host("", lockd), "LK203")[:2] == ("error", "qemu.conf")
    off = host('lock_manager = "nop"\n', lockd)
    assert codes(off) == ["LK203"]
    assert only(off, "LK203")[:2] == ("error", "qemu.conf:1:16")
    sanlock = host('lock_manager = "sanlock"\n', lockd)
    assert codes(sanlock) == ["LK203"]
    assert only(sanlock, "LK203")[:2] == ("warning", "qemu.conf:1:16")


def test_what_lockd_does_not_know_does_not_set_it_up() -> None:
    """A misspelt setting has a finding of its own."""
    assert codes(host("", "file_lockspace = 1\n")) == ["LK201"]


@pytest.mark.parametrize(
    ("qemu", "lockd", "daemon", "name"),
    [
        ('lock_managr = "lockd"\n', "", "", "unknown-key"),
        ('lock_managr = "lockd"\n', FILES, "", "unknown-key"),
        ("", LOCKD, "", "wrong-file"),
        ("", LOCKD + FILES, "", "wrong-file"),
        ("", "", LOCKD, "wrong-file"),
        ("lock_manager = 1\n", FILES, "", "wrong-type"),
        ('lock_manager = "lockdd"\n', FILES, "", "bad-value"),
        ('lock_manager = ""\n', "", "", "bad-value"),
    ],
)
def test_what_a_rule_of_one_file_says_is_not_said_twice(
    qemu: str, lockd: str, daemon: str, name: str
) -> None:
    """There is one fault, so there is one finding."""
    it = host(qemu, lockd, daemon)
    assert codes(it) == []
    findings = [
        found.finding.rule
        for document in it.documents.values()
        for module in map(rule_module, TABLE)
        if module.RULE.scope == "file" and "libvirt" in module.RULE.grammars
        for found in module.check(FileSubject(document), Options())
    ]
    assert findings == [name]


def test_a_duplicate_that_is_dead_protects_nobody() -> None:
    """The first entry is the one that counts, and the one that is pointed at."""
    it = host('user = "a"\nlock_manager = "nop"\n' + LOCKD)
    assert only(it, "LK202")[1] == "qemu.conf:2:16"
    assert codes(host(LOCKD + 'lock_manager = "nop"\n', FILES)) == []


def test_dead_lockspaces() -> None:
    """libvirt does not even make the directories."""
    it = host(LOCKD, FILES + LVM + OFF)
    assert codes(it) == ["LK204"]
    severity, place, message = only(it, "LK204")
    assert (severity, place) == ("warning", "qemu-lockd.conf:3:20")
    assert message.startswith("file_lockspace_dir and lvm_lockspace_dir are not used ")
    assert "scsi_lockspace_dir is not used" in only(host(LOCKD, SCSI + OFF), "LK204")[2]
    # As public cookbooks have it.
    assert codes(host(LOCKD, OFF + "require_lease_for_disks = 1\n" + FILES)) == ["LK204"]
    assert codes(host(LOCKD, FILES + LVM + "auto_disk_leases = 1\n")) == []


def test_the_values_of_the_sample() -> None:
    """Both, uncommented. One alone is a choice."""
    it = host(LOCKD, "require_lease_for_disks = 1\n" + OFF)
    assert codes(it) == ["LK205"]
    assert only(it, "LK205")[:2] == ("warning", "qemu-lockd.conf:2:20")
    assert codes(host(LOCKD, OFF)) == []
    assert codes(host(LOCKD, "require_lease_for_disks = 1\n" + FILES)) == []


def test_no_leases() -> None:
    """Whether there are lockspaces or not."""
    for lockd in (OFF, FILES + OFF):
        it = host(LOCKD, f"require_lease_for_disks = 0\n{lockd}")
        assert codes(it) == ["LK206"]
        severity, place, _ = only(it, "LK206")
        assert severity == "error"
        assert place == f"qemu-lockd.conf:{1 + len(lockd.splitlines())}:20"


@pytest.mark.parametrize("code", ["LK204", "LK205", "LK206"])
def test_disks_are_locked_by_themselves_only_if_someone_says_so(code: str) -> None:
    """The fix changes which guests start, so it is unsafe, and it is one digit."""
    lockd = {
        "LK204": FILES + "auto_disk_leases = +0\n",
        "LK205": OFF + "require_lease_for_disks = 1\n",
        "LK206": OFF + "require_lease_for_disks = 0\n",
    }[code]
    fix = fix_of(host(LOCKD, lockd), code)
    assert fix is not None
    assert fix.safety == "unsafe"
    (replacement,) = fix.replacements
    text = encode(lockd)
    mended = text[: replacement.span.start] + b"1" + text[replacement.span.end :]
    assert replacement.text == "1"
    after = parse(mended, KINDS["qemu-lockd.conf"], "")
    assert [entry.value for entry in after.all("auto_disk_leases")] == [1]


# Against whom?


def test_block_devices_without_a_lockspace_for_all_of_them() -> None:
    """A lock on a device node stays on its host."""
    assert only(host(LOCKD), "LK207")[:2] == ("info", "qemu.conf:1:16")
    assert only(host(LOCKD, "# nothing\n"), "LK207")[:2] == ("info", "qemu-lockd.conf")
    assert "LVM UUID is found" in only(host(LOCKD, LVM), "LK207")[2]
    assert "LVM UUID or SCSI id is found" in only(host(LOCKD, LVM + SCSI), "LK207")[2]
    assert codes(host(LOCKD, FILES)) == []
    assert codes(host('lock_manager = "sanlock"\n')) == []


@pytest.mark.parametrize(
    ("directory", "severity", "what", "plain"),
    [
        ("/srv//locks", "warning", "a doubled slash", "/srv/locks"),
        ("//srv/locks", "warning", "a doubled slash", "/srv/locks"),
        ("//", "warning", "a doubled slash", "/"),
        ("/srv/./locks", "warning", "a '.' or '..'", "/srv/locks"),
        ("/srv/locks/.", "warning", "a '.' or '..'", "/srv/locks"),
        ("/srv/tmp/../locks", "warning", "a '.' or '..'", "/srv/locks"),
        ("/..", "warning", "a '.' or '..'", "/"),
        ("/srv/locks ", "warning", "a blank at the end", "/srv/locks"),
        ("/srv/locks\t", "warning", "a blank at the end", "/srv/locks"),
        ("/srv/locks\n", "warning", "a blank at the end", "/srv/locks"),
        ("/srv/locks/", "info", "a slash at the end", "/srv/locks"),
        ("/srv/locks//", "warning", "a doubled slash", "/srv/locks"),
        ("/srv//locks/", "warning", "a doubled slash and a slash at the end", "/srv/locks"),
    ],
)
def test_a_lockspace_that_is_not_written_plainly(
    directory: str, severity: str, what: str, plain: str
) -> None:
    """To the lock daemon the same directory written otherwise is another lockspace."""
    it = host(LOCKD, f"file_lockspace_dir = {spell(directory)}\n")
    found = only(it, "LK208")
    assert found[:2] == (severity, "qemu-lockd.conf:1:22")
    assert found[2].startswith(f"file_lockspace_dir has {what}: ")
    fix = fix_of(it, "LK208")
    assert fix is not None
    assert fix.safety == "unsafe"
    assert [replacement.text for replacement in fix.replacements] == [f'"{plain}"']


@pytest.mark.parametrize("directory", ["/", "/srv/.locks", "/srv/a..b", "/srv/...", "/a b/c"])
def test_a_lockspace_that_is_written_plainly(directory: str) -> None:
    """A name may have dots and blanks in it."""
    assert "LK208" not in codes(host(LOCKD, f'file_lockspace_dir = "{directory}"\n'))


def test_a_path_that_cannot_be_written_plainly_has_no_fix() -> None:
    """It has both kinds of quotes, and ends with what begins the end of a string."""
    it = host(LOCKD, 'file_lockspace_dir = """/a\'b//c" """\n')
    assert only(it, "LK208")[0] == "warning"
    assert fix_of(it, "LK208") is None


def test_a_relative_path_is_for_another_rule() -> None:
    """LK106 reports it, and no lockspace is in use."""
    assert codes(host(LOCKD, 'file_lockspace_dir = "locks//files"\n')) == ["LK207"]


@pytest.mark.parametrize(
    ("file", "lvm", "what"),
    [
        ("/l", "/l", "lvm_lockspace_dir names the same directory as file_lockspace_dir"),
        ("/l/", "/l", "lvm_lockspace_dir names the same directory as file_lockspace_dir"),
        ("/l", "/l/lvm", "lvm_lockspace_dir is inside file_lockspace_dir"),
        ("/", "/l", "lvm_lockspace_dir is inside file_lockspace_dir"),
        ("/l/files", "/l", "file_lockspace_dir is inside lvm_lockspace_dir"),
        ("/l/x/..", "//l", "lvm_lockspace_dir names the same directory as file_lockspace_dir"),
        ("/l", "/locks", None),
        ("/l/files", "/l/lvm", None),
    ],
)
def test_lockspaces_in_one_directory(file: str, lvm: str, what: str | None) -> None:
    """Told at the second of the two."""
    it = host(LOCKD, f'lvm_lockspace_dir = "{lvm}"\nfile_lockspace_dir = "{file}"\n')
    if what is None:
        assert "LK209" not in codes(it)
        return
    severity, place, message = only(it, "LK209")
    assert (severity, place) == ("info", "qemu-lockd.conf:1:21")
    assert message.startswith(f"{what}: ")


def test_three_lockspaces_in_one_directory_are_two_findings() -> None:
    """One for each that is not the first."""
    lockd = "".join(f'{key} = "/l"\n' for key in LOCKSPACE_KEYS)
    places = [str(f.finding.place) for code, f in found_in(host(LOCKD, lockd)) if code == "LK209"]
    assert places == ["qemu-lockd.conf:2:21", "qemu-lockd.conf:3:22"]


@pytest.mark.parametrize(
    ("directory", "top"),
    [
        ("/tmp", "/tmp"),
        ("/tmp/locks", "/tmp"),
        ("//tmp/./locks/", "/tmp"),
        ("/srv/../run/locks", "/run"),
        ("/var/tmp/locks", "/var/tmp"),
        ("/run/libvirt/locks", "/run"),
        ("/var/run/locks", "/var/run"),
        ("/var/lock/libvirt", "/var/lock"),
        ("/dev/shm", "/dev"),
        ("/proc/1", "/proc"),
        ("/sys/x", "/sys"),
        ("/run/glusterfs", "/run"),
        ("/tmpfiles", None),
        ("/srv/tmp", None),
        ("/", None),
        ("/var/lib/libvirt/lockd/files", None),
        ("/run/gluster/shared_storage/locks", None),
        ("/var/run/gluster/shared_storage/locks", None),
    ],
)
def test_a_lockspace_that_no_other_host_has(directory: str, top: str | None) -> None:
    """By its path alone: what is mounted where, a file does not say."""
    it = host(LOCKD, f'file_lockspace_dir = "{directory}"\n')
    if top is None:
        assert "LK210" not in codes(it)
        return
    severity, place, message = only(it, "LK210")
    assert (severity, place) == ("warning", "qemu-lockd.conf:1:22")
    assert message.startswith(f"file_lockspace_dir is in {top}, ")


@pytest.mark.parametrize(
    ("sanlock", "found"),
    [
        ('disk_lease_dir = "/run/leases"\nauto_disk_leases = 1\nhost_id = 1\n', ["LK210"]),
        ('disk_lease_dir = "/var/lib/libvirt/images"\nauto_disk_leases = 1\n', ["LK211"]),
        ('disk_lease_dir = "/srv/leases"\nauto_disk_leases = 1\nhost_id = 1\n', []),
        ('disk_lease_dir = "/run/leases"\n', []),
        ("auto_disk_leases = 1\nhost_id = 1\n", []),
        ('disk_lease_dir = "run/leases"\nauto_disk_leases = 1\nhost_id = 1\n', []),
        (None, []),
    ],
)
@pytest.mark.parametrize("driver", ["qemu", "libxl"])
def test_the_directory_of_sanlocks_leases(
    driver: Driver, sanlock: str | None, found: list[str]
) -> None:
    """It is judged by its path as a lockspace is, where sanlock makes leases in it."""
    it = host('lock_manager = "sanlock"\n', driver=driver, sanlock=sanlock)
    assert codes(it) == found
    beside_lockd = codes(host(LOCKD, "", driver=driver, sanlock=sanlock))
    assert not {"LK210", "LK211"} & set(beside_lockd)


@pytest.mark.parametrize(
    ("directory", "what"),
    [
        ("/var/lib/libvirt/images", "is the image directory /var/lib/libvirt/images: "),
        ("/var/lib/libvirt/images/l", "is inside the image directory /var/lib/libvirt/images: "),
        ("/var/lib/libvirt", "has the image directory /var/lib/libvirt/images inside: "),
        ("/var/lib/libvirt/lockd", None),
        ("/var/lib/libvirt/images.lock", None),
        ("/srv/vm/locks", None),
    ],
)
def test_a_lockspace_among_the_images(directory: str, what: str | None) -> None:
    """Of the directory that libvirt has for images, if nothing else is said."""
    it = host(LOCKD, f'file_lockspace_dir = "{directory}"\n')
    if what is None:
        assert "LK211" not in codes(it)
        return
    severity, place, message = only(it, "LK211")
    assert (severity, place) == ("warning", "qemu-lockd.conf:1:22")
    assert message.startswith(f"file_lockspace_dir {what}")


def test_where_the_images_are_can_be_said() -> None:
    """One finding for a lockspace, and the built-in directory is then none."""
    options = Options(image_directories=("relative", "/srv/vm/", "/srv"))
    it = host(LOCKD, 'file_lockspace_dir = "/srv/vm/locks"\n')
    assert "inside the image directory /srv/vm/:" in only(it, "LK211", options)[2]
    there = host(LOCKD, 'file_lockspace_dir = "/var/lib/libvirt/images"\n')
    assert "LK211" not in codes(there, options)


@pytest.mark.parametrize(
    ("qemu", "directory", "says"),
    [
        (SELINUX, "/srv/locks", True),
        ('security_driver = [ "selinux", "dac" ]\n', "/srv/locks", True),
        ('security_driver = [ "apparmor" ]\n', "/srv/locks", False),
        ('security_driver = "none"\n', "/srv/locks", False),
        ("security_driver = 1\n", "/srv/locks", False),
        ("", "/srv/locks", False),
        (SELINUX, "/var/lib/libvirt/lockd", False),
        (SELINUX, "/var/lib/libvirt/lockd/files/", False),
        (SELINUX, "/var/lib/libvirt/lockd2", True),
        (SELINUX, "/var/lib/libvirt", True),
    ],
)
def test_a_lockspace_that_selinux_does_not_know(qemu: str, directory: str, says: bool) -> None:
    """Where the file asks for SELinux; what it finds by itself, the file does not say."""
    it = host(LOCKD + qemu, f'\nfile_lockspace_dir = "{directory}"\n')
    assert ("LK212" in codes(it)) == says
    if says:
        assert only(it, "LK212")[:2] == ("info", "qemu-lockd.conf:2:22")


def test_xen_has_no_security_driver() -> None:
    """Its file does not have the setting, and the rule does not ask for it."""
    assert codes(host(LOCKD, FILES, driver="libxl")) == []


def test_scsi_ids_alone() -> None:
    """A logical volume has the id of the disk below it."""
    it = host(LOCKD, FILES + SCSI)
    assert codes(it) == ["LK214"]
    assert only(it, "LK214")[:2] == ("info", "qemu-lockd.conf:2:22")
    assert codes(host(LOCKD, FILES + SCSI + LVM)) == []
    assert codes(host(LOCKD, FILES + LVM)) == []


# All of them together


def test_the_files_that_libvirt_comes_with() -> None:
    """All commented, so there is one thing to say."""
    texts = {
        name: path.read_text()
        for name in ("qemu.conf", "qemu-lockd.conf", "virtlockd.conf")
        if (path := SAMPLES / name).exists()
    }
    assert len(texts) == 3
    it = host(texts["qemu.conf"], texts["qemu-lockd.conf"], texts["virtlockd.conf"])
    assert codes(it) == ["LK201"]


def test_a_host_that_is_fine() -> None:
    """Everything is set, and there is nothing to say."""
    it = host(LOCKD, FILES + LVM + SCSI, "max_clients = 4096\n")
    assert codes(it) == []


#: Every choice of lockspace directories.
SPACES = [
    keys
    for size in range(len(LOCKSPACE_KEYS) + 1)
    for keys in itertools.combinations(LOCKSPACE_KEYS, size)
]


def expected(
    manager: str | None, auto: int | None, require: int | None, spaces: tuple[str, ...]
) -> set[str]:
    """Which rules speak."""
    if manager != "lockd":
        if auto is not None or require is not None or spaces:
            return {"LK203"}
        return {None: {"LK201"}, "nop": {"LK202"}, "sanlock": set[str]()}[manager]
    if auto == 0:
        if require == 0:
            return {"LK206"}
        if spaces:
            return {"LK204"}
        return {"LK205"} if require == 1 else set()
    found = set()
    if "file_lockspace_dir" not in spaces:
        found.add("LK207")
    if "scsi_lockspace_dir" in spaces and "lvm_lockspace_dir" not in spaces:
        found.add("LK214")
    return found


@pytest.mark.parametrize("manager", [None, "nop", "lockd", "sanlock"])
@pytest.mark.parametrize("auto", [None, 0, 1])
@pytest.mark.parametrize("require", [None, 0, 1])
def test_the_rules_agree_with_the_verdict(
    manager: str | None, auto: int | None, require: int | None
) -> None:
    """Whatever is combined, what the rules say and what ``lockcfg show`` says is the same."""
    for spaces in SPACES:
        lockd = "".join(
            f"{key} = {value}\n"
            for key, value in (("auto_disk_leases", auto), ("require_lease_for_disks", require))
            if value is not None
        ) + "".join(f'{key} = "/srv/locks/{key}"\n' for key in spaces)
        it = host(f'lock_manager = "{manager}"\n' if manager else "", lockd)
        fired = codes(it)
        assert set(fired) == expected(manager, auto, require, spaces)
        assert len(fired) == len(set(fired))
        level: Level = protection_of(it, {}).level
        unprotected = bool({"LK201", "LK202", "LK203", "LK206"} & set(fired))
        assert level != "other"
        assert (level == "none") == (unprotected and manager != "sanlock")
        assert (level == "leases") >= bool({"LK204", "LK205"} & set(fired))
        assert (level == "this-host") == ("LK207" in fired)


COMPONENTS = st.sampled_from(
    ["a", "b", "tmp", "var", "run", "lib", "libvirt", "images", "lockd", ".", "..", "", " ", "a "]
)
PATHS = st.one_of(
    st.lists(COMPONENTS, max_size=6).map(lambda names: "/" + "/".join(names)),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8).map(
        lambda text: f"/{text}"
    ),
)


@settings(deadline=None, max_examples=300)
@given(
    manager=st.sampled_from([None, "nop", "lockd", "lockd", "lockd", "sanlock", "other"]),
    auto=st.sampled_from([None, "0", "1", "2", '"0"']),
    require=st.sampled_from([None, "0", "1", "-1"]),
    directories=st.dictionaries(st.sampled_from(LOCKSPACE_KEYS), PATHS),
    selinux=st.booleans(),
)
def test_whatever_a_host_has_findings_are_sound(
    manager: str | None,
    auto: str | None,
    require: str | None,
    directories: dict[str, str],
    selinux: bool,
) -> None:
    """Each is one sentence about a file that is there, and points at the setting it is about."""
    lines = [f"auto_disk_leases = {auto}"] if auto else []
    lines += [f"require_lease_for_disks = {require}"] if require else []
    try:
        lines += [f"{key} = {spell(directory)}" for key, directory in directories.items()]
    except ValueError:
        assume(False)
    lockd = "\n".join(lines) + "\n" if lines else None
    it = host(
        (f'lock_manager = "{manager}"\n' if manager else "") + (SELINUX if selinux else ""), lockd
    )
    for _, found in found_in(it):
        finding = found.finding
        (document,) = (d for d in it.documents.values() if d.path == finding.path)
        assert document.exists
        assert finding.message
        assert finding.help
        assert "\n" not in finding.message + finding.help
        assert not finding.message.endswith(".")
        if finding.key is None:
            assert finding.place is None
        else:
            entry = document.get(finding.key)
            assert entry is not None
            assert finding.place == document.place_of(entry)
    if any("LK204" <= code <= "LK214" for code in codes(it)):
        assert it.lock_manager == "lockd"


@settings(deadline=None, max_examples=300)
@given(PATHS)
def test_the_plain_path_is_the_same_directory(directory: str) -> None:
    """The fix leaves nothing to find, and leads to where the path led."""
    try:
        literal = spell(directory)
    except ValueError:
        assume(False)
    it = host(LOCKD, f"file_lockspace_dir = {literal}\n")
    normal = os.path.normpath(directory.rstrip()).replace("//", "/")
    if "LK208" not in codes(it):
        assert directory == normal
        return
    assert directory != normal
    fix = fix_of(it, "LK208")
    if fix is None:
        return
    (replacement,) = fix.replacements
    mended = host(LOCKD, f"file_lockspace_dir = {replacement.text}\n")
    assert "LK208" not in codes(mended)
    assert mended.lockspace("file_lockspace_dir") == normal


@given(PATHS, PATHS)
def test_what_two_paths_are_to_each_other(one: str, two: str) -> None:
    """Said from the other side, it is the opposite."""
    opposite = {"same": "same", "inside": "around", "around": "inside", None: None}
    assert relation(one, two) == opposite[relation(two, one)]
    assert relation(one, one) == "same"
    assert relation(f"{one}/below", one) == ("inside" if relation(one, "/") else None)
