"""The settings of a run: where they are read from, what they do, and what is refused."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from lockcfg.errors import LockcfgError, ReadError, UsageError
from lockcfg.host.installed import parse_release
from lockcfg.lint.settings import LintSettings, known_rule, matches, names_rule
from lockcfg.lint.settings_search import load_settings
from lockcfg.rules import TABLE, rule_module
from tests.lint import codes, host, lint, paths, write

SCHEMA = json.loads(
    (Path(__file__).parent.parent.parent / "schemas/settings.schema.json").read_text()
)

#: Settings with everything in them.
WHOLE = """\
select: [ALL]
ignore: [LK214, stock-lens]
severity: {LK4: error, unknown-key: info}
fail-level: error
exclude: [archive]
per-path:
  - {path: hosts/lab-*, ignore: [LK2]}
libvirt-version: "9.0.0"
guests: 200
spare-guests: 100
descriptor-limit: 1024
image-directories: [/srv/images]
groups: {production: ["hosts/kvm*"]}
waivers:
  - {rule: LK202, path: hosts/lab-01, reason: no storage, until: 2099-12-31}
  - {rule: unknown-key, path: x, reason: y}
baseline: known.json
"""


def settings(top: Path, text: str) -> LintSettings:
    """What ``text`` in a file of settings in ``top`` comes to."""
    write(top, {".lockcfg.yaml": text})
    return load_settings(str(top))


def test_the_schema_is_one() -> None:
    """And describes every property."""
    Draft202012Validator.check_schema(SCHEMA)
    for name, schema in SCHEMA["properties"].items():
        assert schema.get("description"), name


def test_everything_arrives(tmp_path: Path) -> None:
    """With paths made absolute where they are files."""
    found = settings(tmp_path, WHOLE)
    assert (found.root, found.path) == (str(tmp_path), str(tmp_path / ".lockcfg.yaml"))
    assert (found.select, found.ignore) == (("ALL",), ("LK214", "stock-lens"))
    assert found.severity == {"LK4": "error", "unknown-key": "info"}
    assert (found.fail_level, found.exclude) == ("error", ("archive",))
    assert found.per_path == (("hosts/lab-*", ("LK2",)),)
    assert found.baseline == str(tmp_path / "known.json")
    assert [w.until for w in found.waivers] == [datetime.date(2099, 12, 31), None]
    assert [w.rule for w in found.waivers] == ["LK202", "unknown-key"]
    options = found.options
    assert options.libvirt_version == (9, 0, 0)
    assert (options.guests, options.spare_guests, options.descriptor_limit) == (200, 100, 1024)
    assert options.image_directories == ("/srv/images",)
    assert options.groups == {"production": ["hosts/kvm*"]}


def test_every_property_of_the_schema_is_read() -> None:
    """The settings above have them all, so that none is described and does nothing."""
    assert set(yaml.safe_load(WHOLE)) == set(SCHEMA["properties"])


def test_pyproject_says_the_same(tmp_path: Path) -> None:
    """As TOML, with TOML's own dates."""
    write(
        tmp_path,
        {
            "pyproject.toml": "[tool.lockcfg]\nguests = 7\nignore = ['LK2']\n"
            "[[tool.lockcfg.waivers]]\nrule = 'LK1'\npath = 'x'\nreason = 'y'\nuntil = 2030-01-02\n"
        },
    )
    found = load_settings(str(tmp_path))
    assert (found.options.guests, found.ignore) == (7, ("LK2",))
    assert found.waivers[0].until == datetime.date(2030, 1, 2)
    assert found.path == str(tmp_path / "pyproject.toml")


def test_the_nearest_file_counts(tmp_path: Path) -> None:
    """At or above what is looked at; YAML before TOML; a pyproject.toml of another tool and
    one that has no tools at all are passed."""
    write(
        tmp_path,
        {
            ".lockcfg.yaml": "guests: 1",
            "a/.lockcfg.yaml": "guests: 2",
            "a/pyproject.toml": "[tool.lockcfg]\nguests = 3\n",
            "a/b/pyproject.toml": "[tool.black]\n",
            "a/b/c/pyproject.toml": "tool = 5\n",
            "a/b/c/qemu.conf": "",
            "d/x": "",
        },
    )
    for start, guests in (
        (".", 1),
        ("d", 1),
        ("d/x", 1),
        ("a", 2),
        ("a/b/c", 2),
        ("a/b/c/qemu.conf", 2),
        ("a/b/c/not/there/qemu.conf", 2),
    ):
        assert load_settings(str(tmp_path / start)).options.guests == guests, start


def test_a_repository_is_where_the_search_ends(tmp_path: Path) -> None:
    """Above it is another project; and paths are relative to it."""
    write(tmp_path, {".lockcfg.yaml": "guests: 1", "r/.git/HEAD": "", "r/hosts/a/qemu.conf": ""})
    found = load_settings(str(tmp_path / "r/hosts"))
    assert (found.root, found.path, found.options.guests) == (str(tmp_path / "r"), None, None)


def test_without_settings_and_repository_paths_are_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or from what is looked at, where that is elsewhere."""
    (tmp_path / "a/b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a")
    assert load_settings("b").root == str(tmp_path / "a")
    assert load_settings(str(tmp_path)).root == str(tmp_path)


def test_a_file_that_is_named_counts_alone(tmp_path: Path) -> None:
    """Its directory is the root, and its name is free; .toml is TOML."""
    write(tmp_path, {".lockcfg.yaml": "guests: 1", "x/ci.yml": "guests: 5", "x/y.toml": ""})
    found = load_settings(str(tmp_path), str(tmp_path / "x/ci.yml"))
    assert (found.options.guests, found.root) == (5, str(tmp_path / "x"))
    assert load_settings(str(tmp_path), str(tmp_path / "x/y.toml")).options.guests is None


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "{}"])
def test_empty_settings_are_the_built_in_ones(tmp_path: Path, text: str) -> None:
    """But their place is the root."""
    found = settings(tmp_path, text)
    assert (found.select, found.ignore, found.fail_level) == ((), (), "warning")
    assert found.root == str(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ingore: [LK1]", r"'ingore' was unexpected"),
        ("select: LK1", r"select: 'LK1' is not of type 'array'"),
        ("select: [1]", r"select\.0: 1 is not of type 'string'"),
        ("select: [lk101]", r"no rule is called 'lk101'"),
        ("ignore: [LK999]", r"no rule is called 'LK999'"),
        ("ignore: [unknown-kex]", r"no rule is called 'unknown-kex'"),
        ("ignore: ['LK*']", r"ignore\.0: 'LK\*' does not match"),
        ("severity: {LK101: fatal}", r"severity\.LK101: 'fatal' is not one of"),
        ("severity: {LK998: error}", r"no rule is called 'LK998'"),
        ("severity: {1: error}", r"severity: 1 is not of type 'string'"),
        ("fail-level: never", r"fail-level: 'never' is not one of"),
        ("per-path: [{path: x}]", r"per-path\.0: 'ignore' is a required property"),
        ("per-path: [{path: '', ignore: []}]", r"per-path\.0\.path: ''"),
        ("per-path: [{path: x, ignore: [LK997]}]", r"no rule is called 'LK997'"),
        ("libvirt-version: 9.0", r"libvirt-version: 9\.0 is not of type 'string'"),
        ("libvirt-version: '9'", r"libvirt-version: '9' does not match"),
        ("libvirt-version: '9.x'", r"libvirt-version: '9\.x' does not match"),
        ("guests: -1", r"guests: -1 is less than the minimum"),
        ("guests: '5'", r"guests: '5' is not of type 'integer'"),
        ("guests: true", r"guests: True is not of type 'integer'"),
        ("descriptor-limit: 0", r"descriptor-limit: 0 is less than"),
        ("image-directories: [images]", r"image-directories\.0: 'images' does not match"),
        ("groups: [a]", r"groups: \['a'\] is not of type 'object'"),
        ("groups: {a: hosts/*}", r"groups\.a: 'hosts/\*' is not of type 'array'"),
        ("groups: {5: [a]}", r"groups: 5 is not of type 'string'"),
        ("waivers: [{rule: LK1, path: x}]", r"waivers\.0: 'reason' is a required property"),
        ("waivers: [{rule: LK1, path: x, reason: ''}]", r"waivers\.0\.reason: ''"),
        ("waivers: [{rule: LK996, path: x, reason: y}]", r"no rule is called 'LK996'"),
        (
            "waivers: [{rule: LK1, path: x, reason: y, until: soon}]",
            r"waivers\.0\.until: 'soon' does not match",
        ),
        (
            "waivers: [{rule: LK1, path: x, reason: y, until: '2027-02-30'}]",
            r"waivers\.0\.until: '2027-02-30' is not a date",
        ),
        (
            "waivers: [{rule: LK1, path: x, reason: y, until: 2027-02-28 10:00:00}]",
            r"waivers\.0\.until: '2027-02-28T10:00:00' does not match",
        ),
        ("baseline: ''", r"baseline: ''"),
        ("- LK1", r"is not of type 'object'"),
        ("just words", r"'just words' is not of type 'object'"),
        ("5", r"5 is not of type 'object'"),
    ],
)
def test_a_mistake_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """With the file and the place in it, in a few words."""
    with pytest.raises(UsageError) as caught:
        settings(tmp_path, text)
    assert re.match(rf"{tmp_path}/\.lockcfg\.yaml:1:\d+: ", caught.value.message)
    assert re.search(message, caught.value.message)
    assert len(caught.value.message) < 400
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "text", "place", "help"),
    [
        (".lockcfg.yaml", "guests: 5\nselct: [LK1]\n", "2:1", "did you mean 'select'?"),
        (".lockcfg.yaml", "guests: 5\nnonsense: 1\n", "2:1", "choices: baseline, "),
        (".lockcfg.yaml", "severity:\n  LK101: eror\n", "2:3", "did you mean 'error'?"),
        (
            ".lockcfg.yaml",
            "ignore:\n  - LK1\n  - unkown-key\n",
            "3:5",
            "did you mean 'unknown-key'?",
        ),
        (".lockcfg.yaml", "waivers:\n- rule: LK1\n  path: x\n", "2:3", ""),
        ("pyproject.toml", "[project]\n[tool.lockcfg]\nguests = -1\n", "3:1", ""),
        (
            "pyproject.toml",
            "selct = 1\n[tool.lockcfg]\n\nselct = []\n",
            "4:1",
            "did you mean 'select'?",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line(
    tmp_path: Path, name: str, text: str, place: str, help: str
) -> None:
    """And with what was probably meant."""
    write(tmp_path, {name: text})
    with pytest.raises(UsageError) as caught:
        load_settings(str(tmp_path))
    assert caught.value.message.startswith(f"{tmp_path}/{name}:{place}: ")
    assert caught.value.help.startswith(help)


LAUGHS = (
    "a: &a ["
    + "x," * 9
    + "]\n"
    + "".join(
        f"{new}: &{new} [{f'*{old},' * 9}]\n"
        for old, new in zip("abcdefghi", "bcdefghij", strict=True)
    )
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not YAML"),
        ("\ta: 1", "is not YAML"),
        ("a: 1\na: !!python/object:os.system x", "is not YAML"),
        ("waivers: [{until: 2027-02-30}]", "is not YAML"),
        ("a: \x00", "is not YAML"),
        (b"a: \xff", "is not YAML"),
        ("a: b: c", "is not YAML"),
        ("---\na: 1\n---\nb: 1\n", "is not YAML"),
        ("[" * 5000, "is not YAML"),
        ("groups: &a {x: *a}", "holds too much, or itself"),
        ("&a [*a]", "holds too much, or itself"),
        (LAUGHS, "holds too much, or itself"),
        ("#" * (10 * 1024 * 1024 + 1), "is larger than 10 MiB"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_yaml(tmp_path: Path, text: str | bytes, message: str) -> None:
    """Or holds more than any settings, or itself: said so, at once."""
    write(tmp_path, {".lockcfg.yaml": text})
    with pytest.raises(ReadError, match=message) as caught:
        load_settings(str(tmp_path))
    assert caught.value.exit_code == 3
    assert "\n" not in caught.value.message


def test_what_is_no_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    """As an editor understands it."""
    write(tmp_path, {".lockcfg.yaml": "guests: 5\nselect: [LK1\nignore: []\n"})
    with pytest.raises(ReadError, match=r"/\.lockcfg\.yaml:3:7: is not YAML: "):
        load_settings(str(tmp_path))


@pytest.mark.parametrize(
    "text", ["[tool.lockcfg", b"a = '\xff'", "a = " + "[" * 5000, "a = 1\na = 2", "a = 1\0"]
)
def test_what_is_no_toml(tmp_path: Path, text: str | bytes) -> None:
    """Said so."""
    write(tmp_path, {"pyproject.toml": text})
    with pytest.raises(ReadError, match="is not TOML"):
        load_settings(str(tmp_path))


@pytest.mark.parametrize(
    "text", ["[tool]\nlockcfg = 5\n", "[[tool.lockcfg]]\n", "[tool.lockcfg]\nguests = 1.5\n"]
)
def test_toml_of_another_shape(tmp_path: Path, text: str) -> None:
    """It is refused as YAML is."""
    write(tmp_path, {"pyproject.toml": text})
    with pytest.raises(UsageError, match="is not of type"):
        load_settings(str(tmp_path))


def test_a_directory_or_a_broken_link_in_the_place_of_settings(tmp_path: Path) -> None:
    """It is an error, and does not mean that there are no settings, as other rules would run
    then."""
    for name in ("directory", "link"):
        (tmp_path / name).mkdir()
    (tmp_path / "directory/.lockcfg.yaml").mkdir()
    (tmp_path / "link/.lockcfg.yaml").symlink_to("gone")
    with pytest.raises(ReadError, match="is a directory"):
        load_settings(str(tmp_path / "directory"))
    with pytest.raises(ReadError, match="is a symbolic link to gone"):
        load_settings(str(tmp_path / "link"))
    with pytest.raises(ReadError, match="is a directory"):
        load_settings(".", str(tmp_path))
    with pytest.raises(ReadError, match="No such file"):
        load_settings(".", str(tmp_path / "no.yaml"))


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_any_text_is_settings_or_an_error(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One of ours."""
    top = tmp_path_factory.getbasetemp() / "any"
    write(top, {".lockcfg.yaml": text, "x.toml": text})
    for explicit in (".lockcfg.yaml", "x.toml"):
        try:
            load_settings(str(top), str(top / explicit))
        except LockcfgError as error:
            assert error.exit_code in (2, 3)


@given(
    value=st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text(max_size=8)
        | st.sampled_from(["LK1", "LK101", "unknown-key", "error", "2027-01-01", "9.0.0", "/x"])
        | st.dates(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["rule", "path", "reason", "until", "ignore", "LK101", 5, "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=6,
    ),
    name=st.sampled_from(sorted(SCHEMA["properties"])),
)
def test_any_value_of_a_setting_is_taken_or_refused(
    value: Any, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With the file in the message."""
    top = tmp_path_factory.getbasetemp() / "value"
    try:
        settings(top, yaml.safe_dump({name: value}))
    except (UsageError, ReadError) as error:
        assert ".lockcfg.yaml" in error.message


def test_rules_are_known_by_code_prefix_and_name() -> None:
    """And by ALL."""
    for module in TABLE:
        rule = rule_module(module).RULE
        for name in (rule.code, rule.name, rule.code[:3], rule.code[:4], "ALL"):
            assert known_rule(name)
            assert names_rule(name, rule.code, rule.name)
    for name in ("", "L", "lk101", "LK1011", "LK7", "all", "unknown_key", "key"):
        assert not known_rule(name), name


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("hosts/a/qemu.conf", "hosts/a/qemu.conf", True),
        ("hosts/a/qemu.conf", "hosts/a", True),
        ("hosts/a/qemu.conf", "hosts/*", True),
        ("hosts/a/qemu.conf", "qemu.conf", True),
        ("hosts/a/qemu.conf", "a/qemu.conf", True),
        ("hosts/a/qemu.conf", "*.conf", True),
        ("hosts/a/qemu.conf", "hosts/b", False),
        ("hosts/ab/qemu.conf", "hosts/a", False),
        ("hosts/a/qemu.conf", "emu.conf", False),
        ("hosts/[a]/qemu.conf", "hosts/[[]a]", True),
    ],
)
def test_globs(path: str, pattern: str, expected: bool) -> None:
    """A file, a directory above it, or the end of its path."""
    assert matches(path, pattern) == expected


@pytest.mark.parametrize("text", ["9", "", "9.", ".9", "9.x", "-9.0", "9.0.0.0", " 9.0", "9.0\n"])
def test_no_version(text: str) -> None:
    """What int() would take is none either."""
    with pytest.raises(UsageError, match="is not a libvirt version"):
        parse_release(text)


def test_versions_compare_as_numbers() -> None:
    """And not as texts."""
    assert parse_release("10.0.0") > parse_release("9.11.0") > parse_release("9.2")
    assert parse_release("10.4") == parse_release("10.4.0")
    with pytest.raises(UsageError):
        parse_release("９.０")  # digits, but not ours


# --- what they do


def test_select_and_ignore(tmp_path: Path) -> None:
    """By code, by the beginning of codes, by name; ignore wins."""
    write(tmp_path, {"qemu.conf": 'lock_managr = "x"\nmax_files = "5"\nmax_files = 6\n'})
    assert codes(lint(tmp_path, select=["LK1"])) == ["LK102", "LK105", "LK104"]
    assert codes(lint(tmp_path, select=["unknown-key"])) == ["LK102"]
    assert codes(lint(tmp_path, select=["LK1"], ignore=["LK102", "duplicate-key"])) == ["LK105"]
    assert codes(lint(tmp_path, ignore=["ALL"])) == []
    write(tmp_path, {"qemu.conf": 'nope = 1\nlock_manager = "nop"\n'})
    assert codes(lint(tmp_path)) == ["LK102", "LK202"]


def test_rules_that_do_not_run_are_not_in_the_report(tmp_path: Path) -> None:
    """The others are, by code, with the severity they have here."""
    result = lint(tmp_path, select=["LK10"], ignore=["LK101"], severity={"LK102": "error"})
    assert [rule.code for rule in result.rules] == [f"LK10{n}" for n in range(2, 10)]
    assert next(iter(result.rules)).severity == "error"


def test_severity(tmp_path: Path) -> None:
    """The first name that means the rule decides."""
    write(tmp_path, {"qemu.conf": 'lock_managr = "x"\nmax_files = "5"\n'})
    severity = {"LK102": "info", "LK1": "error", "wrong-type": "warning"}
    result = lint(tmp_path, select=["LK102", "LK105"], severity=severity)
    assert [d.finding.severity for d in result.diagnostics] == ["info", "error"]


def test_rules_per_path(tmp_path: Path) -> None:
    """They do not run for the files that a glob matches, and they run for the others."""
    for name in ("hosts/lab-01", "hosts/lab-02", "hosts/kvm01"):
        write(tmp_path, {f"{name}/qemu.conf": "nope = 1\nmax_files = 'x'\n"})
    result = lint(
        tmp_path,
        select=["LK102", "LK105"],
        per_path=[("hosts/lab-*", ["LK102"]), ("*1", ["LK105"])],
    )
    assert list(zip(codes(result), paths(result, tmp_path), strict=True)) == [
        ("LK102", "hosts/kvm01/qemu.conf"),
        ("LK105", "hosts/lab-02/qemu.conf"),
    ]


def test_what_the_rules_are_told(tmp_path: Path) -> None:
    """The version of libvirt, the number of guests, the groups of hosts."""
    files = {**host("a"), **host("b"), "c/qemu.conf": 'sched_core = "vcpus"\n'}
    write(tmp_path, files)

    def found(text: str, *rules: str) -> list[str]:
        write(tmp_path, {".lockcfg.yaml": text})
        return codes(lint_with(load_settings(str(tmp_path)).replace(select=rules)))

    def lint_with(settings: LintSettings) -> Any:
        from lockcfg.lint.engine import Linter

        return Linter(settings).run([str(tmp_path)])

    assert found("libvirt-version: 8.0.0", "LK109") == ["LK109"]
    assert found("libvirt-version: 9.0.0", "LK109") == []
    assert found("guests: 5", "LK301") == []
    assert "LK301" in found("guests: 5000", "LK301")
    assert found("spare-guests: 5000\nguests: 0", "LK301") != []
    write(tmp_path, {f"kvm{n}/qemu.conf": 'lock_manager = "lockd"\n' for n in range(9)})
    write(tmp_path, {"kvm9/qemu.conf": 'lock_manager = "sanlock"\n'})
    assert found("groups: {production: ['kvm*']}", "LK503") == ["LK503"]
    assert found("groups: {production: ['kvm9']}", "LK503") == []
