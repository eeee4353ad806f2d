"""Help that helps: typed as it says, the file passes."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

import lockcfg.conf.advice
import lockcfg.conf.diagnosis
from lockcfg.conf.files import READ
from lockcfg.conf.load import parse
from lockcfg.conf.settings import settings_of
from lockcfg.errors import ConfSyntaxError
from lockcfg.rules import VALIDATING, check, rule_module, syntax_finding
from tests.real.libvirt_parser import Accepted, LibvirtParser
from tests.rules.test_manuals import cases_of

if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Final

    from lockcfg.findings import Finding

MISTAKES: Final[list[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parent / "mistakes.yaml").read_text()
)

PARSER: Final = LibvirtParser()


def findings(text: str, name: str) -> list[Finding]:
    """What is wrong with a file, whether or not it can be parsed."""
    raw = text.encode("utf-8", "surrogateescape")
    try:
        return check(parse(raw, READ[name], name))
    except ConfSyntaxError as error:
        return [syntax_finding(error)]


# --- mistakes that people make --------------------------------------------------------------


def test_there_are_the_fifty_most_common_ones() -> None:
    """Each of them another one."""
    assert len({mistake["wrong"] for mistake in MISTAKES}) == len(MISTAKES) >= 50


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake["name"])
def test_a_mistake_is_mended_by_typing_what_the_help_says(mistake: dict[str, Any]) -> None:
    """What the help quotes is typed as it is, and nothing is left to say of the file."""
    name = mistake.get("file", "qemu.conf")
    finding = findings(mistake["wrong"], name)[0]
    assert (finding.message, finding.help) == (mistake["message"], mistake["help"])
    typed = mistake["typed"]
    assert findings(typed, name) == []
    assert isinstance(PARSER.read(typed.encode()), Accepted)
    quoted = re.search(r"\bwrite '(.*)'(?:\Z|, )", finding.help)
    plain = re.search(r"\Awrite (\w+ = .*?)(?: or |\Z|, with )", finding.help)
    if code := quoted or plain:
        assert "…" in code[1] or code[1] in typed.splitlines()
    if "remove the line" in finding.help:
        gone = [line for line in mistake["wrong"].splitlines() if line not in typed.splitlines()]
        assert len(gone) == 1
        assert typed == mistake["wrong"].replace(f"{gone[0]}\n", "")


# --- every message that has a help ----------------------------------------------------------


def texts_of(module: ModuleType) -> list[str]:
    """The texts of help in a module's source, as patterns: what it returns, and the last argument
    of a problem."""
    found: list[ast.expr] = []
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
        if isinstance(node, ast.Return) and node.value is not None:
            found.append(node.value)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "Problem":
            found.append(node.args[-1])
    patterns: list[str] = []
    for value in found:
        if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value:
            patterns.append(re.escape(value.value))
        elif isinstance(value, ast.JoinedStr):
            parts = [
                re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".*"
                for part in value.values
            ]
            if any(len(part) > 6 for part in parts):
                patterns.append("".join(parts))
    return patterns


#: What has no mistake in the file above, and why.
WITHOUT: Final = {
    "decrypt": "decrypt the file first: .* has encrypted it",
    "template": "this is a template: fill it in, and use the file that comes out",
    "UTF-16": "save the file as UTF-8: it looks like UTF-16, or like no text at all",
    "password": "take out the invisible character .*|begin a comment with '#'",
}


def test_no_help_is_without_a_mistake() -> None:
    """Each help has a mistake that shows it."""
    assert len(texts_of(lockcfg.conf.advice)) > 10
    helps = [mistake["help"] for mistake in MISTAKES]
    without = "|".join(WITHOUT.values())
    missing = [
        text
        for text in texts_of(lockcfg.conf.advice)
        if " " in text
        and not any(re.search(text, each) for each in helps)
        and not re.fullmatch(without.replace(".*", "(?:.*)"), re.sub(r"\\(.)", r"\1", text))
    ]
    assert missing == []


VALUES: Final = (
    *("5", "-1", "+5", "99999999999", '""', '"x"', "'yes'", '"4k"', '"a,b"', "'\"x\"'"),
    *("[ ]", '[ "x" ]', '[ "x", "y" ]', '[ "x,y" ]', "[ 5 ]", "[ x, y ]"),
    *("x", "true", "off", "~", "null", "none", "4k", "0x10", "/x", "x y", "“x”", "(x y)"),
    *("{ x }", ""),
)


def typed(text: str, finding: Finding) -> str | None:
    """A file of one statement after what the help of a finding says; None if it says nothing
    that could be typed as it is."""
    key = text.split()[0]
    advice = finding.help
    if "remove the line" in advice:
        return ""
    if "save the file as UTF-8" in advice:
        return text.encode("utf-8", "surrogateescape").decode("latin-1")
    for pattern in (
        r"\bwrite '(.*)'(?:\Z|, )",
        r"\bwrite (\w+ = [^\"'\[]\d*)(?: or |; |\Z)",
        r"\bwrite (\w+ = .*?)(?:\Z|, with |, which )",
        r"\bfor example (.*)\Z",
    ):
        if code := re.search(pattern, advice):
            # What the help sets beside the setting that is there is typed beside it.
            beside = "" if code[1].split()[0] == key or "'" in pattern[:9] else text
            return f"{beside}{code[1]}\n"
    if near := re.search(r"did you mean '(.*)'\?", advice):
        return f'{key} = "{near[1]}"\n'
    if choice := re.search(r"choices(?:, in quotes)?: ([\w-]+)", advice):
        return f'{key} = "{choice[1]}"\n'
    if like := re.search(r'write it like "([^"]*)"', advice):
        return f'{key} = "{like[1]}"\n'
    if re.match("take it out|take the NUL", advice):
        return ""
    return None


@pytest.mark.parametrize("name", READ)
def test_the_help_for_every_setting_is_right(name: str) -> None:
    """Whatever is wrong with its value."""
    for key in settings_of(READ[name]):
        for value in VALUES:
            text = f"{key} = {value}\n"
            for finding in findings(text, name):
                if finding.rule == "version":
                    continue
                assert finding.help, (text, finding.message)
                mended = typed(text, finding)
                assert mended is not None, (text, finding.help)
                left = findings(mended, name)
                if "from the one to the other" in str(left):
                    # What is meant does not go with another setting's default: that is said next.
                    mended = typed(mended, left[0]) or ""
                    left = findings(mended, name)
                if "with host_id = 0" in str(left):
                    # It needs another setting, which is said next.
                    mended = typed(mended, left[0]) or ""
                    assert "host_id = 1\n" in mended
                    left = findings(mended, name)
                left = [each for each in left if each.rule != "version"]
                assert left == [], (text, finding.help, left)


@pytest.mark.parametrize("name", READ)
def test_no_help_leads_to_fewer_locks_without_saying_so(name: str) -> None:
    """Neither to the value that locks fewer disks, nor to a default that does."""
    led = 0
    for key, setting in settings_of(READ[name]).items():
        value, what = setting.weaker
        if value is None:
            continue
        for text in (f"{key} = {each}\n" for each in (*VALUES, "no", "'NOP'", '"no"', '"0"')):
            for finding in findings(text, name):
                mended = typed(text, finding)
                assert mended is not None, (text, finding.help)
                entry = parse(mended.encode(), READ[name], name).get(key)
                if (entry.value if entry else setting.default) == value:
                    led += 1
                    assert what in finding.help, (text, finding.help)
    assert led or name in ("virtlockd.conf", "sanlock.conf")


@pytest.mark.parametrize("rule", VALIDATING)
def test_the_help_of_a_rules_example_is_right(rule: str) -> None:
    """Of each rule that looks at one file."""
    module = rule_module(rule)
    for case in cases_of(module, "Example"):
        for name, raw in case.files.items():
            text = raw.decode("utf-8", "surrogateescape")
            (finding, *_) = [f for f in findings(text, name) if f.rule == module.RULE.name]
            assert finding.help, finding.message
            if move := re.match("move it to (.*)", finding.help):
                assert findings(text, move[1]) == []
            elif finding.help == "delete one of the two":
                assert findings(text.splitlines()[0] + "\n", name) == []
            elif finding.rule == "unknown-key":
                near = re.search("'(.*)'", finding.help)
                assert near is not None
                assert findings(re.sub(r"^\w+", near[1], text), name) == []
            else:
                mended = typed(text, finding)
                assert mended is not None, finding.help
                assert findings(mended, name) == []


def test_a_value_that_no_driver_reads_stops_none() -> None:
    """libvirt's sample has the setting; of the wrong type it is a warning, and of an older release
    it is said that it does not know it."""
    document = parse(b'vnc_tls_priority = [ "" ]\n', READ["qemu.conf"], "qemu.conf")
    for release, says in (
        ((12, 8, 0), "libvirt 12.8.0 has it in its sample and does not read it"),
        ((9, 0, 0), "libvirt 9.0.0 does not know it"),
    ):
        found = check(document, release)
        (wrong,) = [each for each in found if each.rule == "wrong-type"]
        assert wrong.severity == "warning"
        assert says in wrong.message


def test_a_nul_in_a_comment_is_none() -> None:
    """libvirt reads over it."""
    document = parse(b'# c\0x\nuser = "a" # \0\n', READ["qemu.conf"], "qemu.conf")
    assert [(entry.key, entry.value) for entry in document.entries] == [("user", "a")]
    (finding,) = findings('user = "a\0b"\n', "qemu.conf")
    assert "does not start" not in finding.message
    assert finding.place is not None
    assert (finding.place.line, finding.place.column) == (1, 10)
    (finding,) = findings("# \0\nuser = root\n", "qemu.conf")
    assert finding.message.startswith("expecting a value")
    (finding,) = findings('user = "a"\n\0\n', "qemu.conf")
    assert finding.message.startswith("a NUL byte")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"\xff\xfeu\0s\0e\0r\0", "save the file as UTF-8"),
        (b"$ANSIBLE_VAULT;1.1;AES256\n3834\n", "decrypt the file first: ansible-vault"),
        (b"max_files = {{ files }}\n", "this is a template"),
    ],
)
def test_what_is_no_such_file_is_said(text: bytes, says: str) -> None:
    """Before anything else."""
    with pytest.raises(ConfSyntaxError) as caught:
        parse(text, READ["qemu.conf"], "qemu.conf")
    assert says in caught.value.help


@pytest.mark.parametrize(
    "text",
    [
        "vnc_password = geheim",
        "vnc_password: geheim",
        "vnc-password geheim",
        "export SPICE_PASSWORD='geheim",
        "vnc_pasword = geheim",
        "vnc_password = [\n geheim\n]",
        'vnc_password = """geheim\nx: geheim\n',
        "// vnc_password = geheim",
        "vnc_password\u00a0= geheim",
        '{"vnc_password": "geheim"}',
        "max_files = 4k; vnc_password = geheim",
        "vnc_password = geheim, geheim",
    ],
)
def test_a_password_is_in_no_help(text: str) -> None:
    """However it is written."""
    for finding in findings(f"{text}\n", "qemu.conf"):
        assert "geheim" not in finding.help + finding.message


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (f"{key} = {value}\n", rule)
        for key in ("max_core", "max_clients", "user", "auto_disk_leases", "x", "cgroup_device_acl")
        for value, rule in (
            (str(2**64), "integer-overflow"),
            (str(-(2**63) - 1), "integer-overflow"),
            (str(2**63), "integer-overflow"),
            ("9" * 40, "integer-overflow"),
            (f"[ 1, {2**64} ]", "integer-overflow"),
            ('"caf\udce9"', "not-utf8"),
            ('[ "/caf\udce9", "/dev/null" ]', "not-utf8"),
        )
    ],
)
def test_each_help_for_what_is_too_large_or_not_text_is_right(text: str, rule: str) -> None:
    """Of settings of every type, and of one that is not known: typed, nothing of it is left."""
    name = "virtlockd.conf" if text.startswith("max_clients") else "qemu.conf"
    name = "qemu-lockd.conf" if text.startswith("auto") else name
    (finding,) = [each for each in findings(text, name) if each.rule == rule]
    mended = typed(text, finding)
    assert mended is not None, finding.help
    kinds = {each.rule for each in findings(mended, name)}
    assert rule not in kinds, finding.help
    if text[0] != "x" and rule == "integer-overflow":
        assert kinds == set(), finding.help
