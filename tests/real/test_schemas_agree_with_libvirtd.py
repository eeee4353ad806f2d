"""The schemas against the real daemons: what a schema refuses, its reader refuses to start with.

Each verdict is a start of libvirtd or virtlockd on a file with one setting in it. A value that a
schema refuses although libvirt starts with it is marked ``"refused": false`` there.
"""

from __future__ import annotations

import json
import random
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import pytest
from jsonschema import Draft202012Validator

from lockcfg.conf.files import QEMU
from lockcfg.conf.load import parse
from lockcfg.conf.settings import integer_bounds, together_in
from lockcfg.resources import SCHEMAS
from lockcfg.rules import check
from tests.conftest import LOCKCFG, SAMPLES
from tests.real.libvirtd_host import DIRECTORY, HUGE_PAGES, RELATIVE, Host, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any, Final, TypeAlias

    JsonValue: TypeAlias = "int | str | list[int | str]"
    Schema: TypeAlias = Mapping[str, Any]


def _document(name: str) -> dict[str, Any]:
    with open(f"{SCHEMAS}/{name}.schema.json", encoding="utf-8") as file:
        schema: dict[str, Any] = json.load(file)
    return schema


FILES: Final = ("qemu.conf", "qemu-lockd.conf", "libxl-lockd.conf", "virtlockd.conf")
#: libxl-lockd.conf has its reader in libvirt's Xen driver, which does not start without Xen.
READ: Final = ("qemu.conf", "qemu-lockd.conf", "virtlockd.conf")
DOCUMENTS: Final = {name: _document(name) for name in FILES}
KEYS: Final = [(name, key) for name in READ for key in DOCUMENTS[name]["properties"]]

#: All that the schemas may use: lockcfg has a checker of its own for them.
KEYWORDS: Final = {
    *("description", "type", "anyOf", "items", "enum", "minimum", "maximum"),
    *("pattern", "minLength", "uniqueItems", "default", "x-libvirt"),
}
TYPES: Final = {
    *("bool", "int", "uint", "ulonglong", "size", "string", "string-list", "string-or-list"),
    "uint-or-unlimited",
    "uint-or-string",
}

#: Of these libvirt says in other words that a value is of the wrong type.
OTHER_WORDS: Final = ("uint-or-unlimited", "uint-or-string")

#: What libvirt's integer types hold.
RANGES: Final = {
    "bool": (0, 1),
    "int": (-(2**31), 2**31 - 1),
    "uint": (0, 2**32 - 1),
    "ulonglong": (0, 2**64 - 1),
    "uint-or-unlimited": (0, 2**64 - 1),
    "uint-or-string": (0, 2**64 - 1),
}

#: Right values that also need something of the host: those that this one can give.
ON_THIS_HOST: Final[dict[str, list[JsonValue]]] = {
    "user": ["root", "+0"],
    "group": ["root", "+0"],
    "swtpm_user": ["root", "+0"],
    "swtpm_group": ["root", "+0"],
    "hugetlbfs_mount": [HUGE_PAGES, [HUGE_PAGES], []],
    "security_driver": ["none", ["none"], []],  # the others want a kernel that has them
    "security_require_confined": [0],
    "sched_core": ["none"],
    "capability_filters": [["piix3-usb-uhci"], []],
    "lock_manager": ["nop", "lockd"],
    "mac_filter": [0],
}

#: What libvirt reads and has not in its sample; and what it no longer reads and still has there.
HIDDEN: Final = {"allow_disk_format_probing"}
LEFT_OVER: Final = {"vxhs_tls", "vxhs_tls_x509_cert_dir", "vxhs_tls_x509_secret_uuid"}

WRONG_STRINGS: Final = ("", RELATIVE, "localhost", "no such word")


class Wrong(NamedTuple):
    """A value that a schema refuses. ``by_type``: it is not even what libvirt can read."""

    value: JsonValue
    by_type: bool


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    return Host(tmp_path_factory.mktemp("host"))


@pytest.fixture(scope="module")
def release(host: Host) -> tuple[int, ...]:
    return host.version()


def start(host: Host, name: str, settings: Mapping[str, JsonValue] | str) -> Outcome:
    """Start the daemon that reads the file ``name``, with these settings or this text in it."""
    if isinstance(settings, str):
        text = settings
    else:
        text = "".join(f"{key} = {_spelled(value)}\n" for key, value in settings.items())
    if name == "virtlockd.conf":
        return host.virtlockd({name: text})
    if name == "qemu-lockd.conf":
        return host.libvirtd({"qemu.conf": 'lock_manager = "lockd"', name: text}, lock_daemon=True)
    return host.libvirtd({name: text})


def _spelled(value: JsonValue) -> str:
    if isinstance(value, list):
        return f"[ {', '.join(map(_spelled, value))} ]"
    return str(value) if isinstance(value, int) else f'"{value}"'


def is_right(name: str, settings: Mapping[str, JsonValue]) -> bool:
    """The verdict of the schema."""
    return Draft202012Validator(DOCUMENTS[name]).is_valid(settings)


def knows(release: tuple[int, ...], schema: Schema) -> bool:
    """Whether this release of libvirt has the setting."""
    since, removed = (
        tuple(map(int, schema["x-libvirt"].get(word, default).split(".")))
        for word, default in (("since", ""), ("removed", "999"))
    )
    return since <= release < removed


def reads(release: tuple[int, ...], schema: Schema) -> bool:
    """Whether this release also reads it."""
    return knows(release, schema) and not schema["x-libvirt"].get("ignored", False)


def refuses(release: tuple[int, ...], schema: Schema) -> bool:
    """Whether this release does not start with what the schema does not take."""
    since = schema["x-libvirt"].get("refused_since", "999")
    refused: bool = schema["x-libvirt"].get("refused", True)
    return refused or tuple(map(int, since.split("."))) <= release


def right_values(key: str, schema: Schema, release: tuple[int, ...]) -> list[JsonValue]:
    """Some values that ``schema`` takes: limits, every choice, the default and the sample. Of the
    limits, those that the parser of this release takes."""
    if key in ON_THIS_HOST:
        return ON_THIS_HOST[key]
    if schema["x-libvirt"].get("path") and schema.get("pattern") == "^/":
        return [DIRECTORY]
    found: list[Any] = []
    for branch in schema.get("anyOf", [schema]):
        if branch["type"] == "integer":
            _, most = integer_bounds(release)
            found += [branch["minimum"], min(branch["maximum"], most)]
        elif branch["type"] == "string":
            found += branch.get("enum", [])
        else:
            found += [[], branch["items"].get("enum", ["some", "words"])]
    found += [schema["x-libvirt"].get("sample"), schema.get("default")]
    found = [value for value in found if value is not None and is_valid(schema, value)]
    return found or ["some words"]


def wrong_values(schema: Schema) -> Iterator[Wrong]:
    """Values that ``schema`` refuses."""
    type_: str = schema["x-libvirt"]["type"]
    candidates: list[JsonValue] = [1, "1", [], [1], ["1"], ["1", 1]]
    if type_ in RANGES:
        branch = next(b for b in schema.get("anyOf", [schema]) if b["type"] == "integer")
        lows, highs = zip((branch["minimum"], branch["maximum"]), RANGES[type_], strict=True)
        candidates += sorted({low - 1 for low in lows} | {high + 1 for high in highs})
    for string in WRONG_STRINGS:
        candidates += [string, [string]]
    for value in candidates:
        # libvirt counts on from 0 after 64 bits: see test_where_a_schema_cannot_follow.
        if value != 2**64 and not is_valid(schema, value):
            yield Wrong(value, by_type=not _of_type(type_, value))


def one_of_a_kind(wrong: Iterable[Wrong]) -> list[Wrong]:
    """Of the strings and lists that are wrong in one way the first, and all the integers."""
    kinds = {
        (w.value if isinstance(w.value, int) else type(w.value), w.by_type): w
        for w in reversed(list(wrong))
    }
    return list(reversed(kinds.values()))


def _of_type(type_: str, value: JsonValue) -> bool:
    if isinstance(value, int):
        return type_ in RANGES and RANGES[type_][0] <= value <= RANGES[type_][1]
    if isinstance(value, str):
        return type_ in ("string", "string-or-list", "uint-or-unlimited")
    strings = all(isinstance(element, str) for element in value)
    return type_ in ("string-list", "string-or-list") and strings


def is_valid(schema: Schema, value: JsonValue) -> bool:
    return Draft202012Validator(schema).is_valid(value)


@pytest.mark.parametrize("name", FILES)
def test_a_schema_keeps_to_its_form(name: str) -> None:
    """It is a JSON Schema, of the few words that lockcfg's own checker knows."""
    Draft202012Validator.check_schema(DOCUMENTS[name])
    assert DOCUMENTS[name]["additionalProperties"] is False
    for key, schema in DOCUMENTS[name]["properties"].items():
        for part in (schema, *schema.get("anyOf", ()), schema.get("items", {})):
            assert set(part) <= KEYWORDS, key
        libvirt = schema["x-libvirt"]
        assert libvirt["type"] in TYPES, key
        for word in {"since", "removed"} & set(libvirt):
            assert re.fullmatch(r"\d+\.\d+\.\d+", libvirt[word]), key
        for value in (schema.get("default"), libvirt.get("sample")):
            assert value is None or is_valid(schema, value), key


@pytest.mark.parametrize("name", FILES)
def test_a_schema_has_the_settings_of_the_sample(name: str, release: tuple[int, ...]) -> None:
    """Every one, with its value and in its order; of the others libvirt hides one."""
    text = (SAMPLES / name).read_text()
    found = re.findall(r'^#(\w+) ?= ?("[^"]*"|\d+|\[[^\]]*\])', text, re.MULTILINE)
    sample = {key: json.loads(value.replace("\n#", "\n")) for key, value in found}
    assert sample
    assert len(sample) == len(re.findall(r"^#\w+ ?= ?\S", text, re.MULTILINE))

    properties = DOCUMENTS[name]["properties"]
    known = [key for key, schema in properties.items() if knows(release, schema)]
    assert set(known) - set(sample) <= HIDDEN
    assert set(sample) - set(known) <= LEFT_OVER
    if release == (9, 0, 0):
        stated = {
            key: schema["x-libvirt"]["sample"]
            for key, schema in properties.items()
            if "sample" in schema["x-libvirt"]
        }
        assert stated == sample
        # VxHS is obsolete and thus at the end.
        assert [key for key in properties if key in sample and "vxhs" not in key] == [
            key for key in sample if "vxhs" not in key
        ]


def test_the_two_lockd_files_are_alike() -> None:
    """One plugin reads both; only one of its drivers runs here."""
    qemu, libxl = (
        {
            key: {**schema, "x-libvirt": {**schema["x-libvirt"], "since": ""}}
            for key, schema in DOCUMENTS[name]["properties"].items()
        }
        for name in ("qemu-lockd.conf", "libxl-lockd.conf")
    )
    assert list(qemu) == list(libxl)
    assert qemu == libxl


@pytest.mark.parametrize("name", READ)
def test_right_values_are_taken(
    host: Host, release: tuple[int, ...], name: str, request: pytest.FixtureRequest
) -> None:
    """All settings at once, each with its first right value; then with the second and so on.

    Thus the two ends of a port range are never the wrong way round. The long run also takes every
    value by itself.
    """
    values = {
        key: right_values(key, schema, release)
        for key, schema in DOCUMENTS[name]["properties"].items()
        if knows(release, schema)
    }
    starts: list[dict[str, JsonValue]] = [
        {key: found[min(number, len(found) - 1)] for key, found in values.items()}
        for number in range(max(map(len, values.values())))
    ]
    if request.config.getoption("--exhaustive", default=False):
        starts += [{key: value} for key, found in values.items() for value in found]
    for settings in starts:
        if not is_right(name, settings):
            assert len(settings) == 1  # by itself it contradicts the default of another
            continue
        outcome = start(host, name, settings)
        assert outcome.started, outcome.log


@pytest.mark.parametrize(("name", "key"), KEYS)
def test_wrong_values_are_refused(
    host: Host, release: tuple[int, ...], name: str, key: str, request: pytest.FixtureRequest
) -> None:
    """One start for each, of every kind of wrong value one and in the long run more.

    A setting that this release does not know it ignores.
    """
    schema = DOCUMENTS[name]["properties"][key]
    wrong = [w for w in wrong_values(schema) if w.by_type or refuses(release, schema)]
    assert wrong
    if not request.config.getoption("--exhaustive", default=False):
        wrong = one_of_a_kind(wrong)
    with ThreadPoolExecutor(2) as pool:
        outcomes = pool.map(lambda w: start(host, name, {key: w.value}), wrong)
        for (value, by_type), (started, log) in zip(wrong, outcomes, strict=True):
            assert not is_right(name, {key: value})
            assert started == (not reads(release, schema)), f"{key} = {value!r}\n{log}"
            if not started and by_type and schema["x-libvirt"]["type"] not in OTHER_WORDS:
                assert f"'{key}' parameter" in log


@pytest.mark.parametrize("name", READ)
def test_values_without_sense_are_taken(host: Host, release: tuple[int, ...], name: str) -> None:
    """Of those that a schema refuses and libvirt starts with, one of each setting at once."""
    settings = {
        key: wrong.value
        for key, schema in DOCUMENTS[name]["properties"].items()
        if knows(release, schema) and not refuses(release, schema)
        for wrong in wrong_values(schema)
        if not wrong.by_type and (wrong.value == RELATIVE or isinstance(wrong.value, int))
    }
    assert settings
    for key, value in settings.items():
        assert not is_right(name, {key: value})
    outcome = start(host, name, settings)
    assert outcome.started, outcome.log


#: Values of the settings that libvirt checks with one another, at and around every limit.
WITH_ONE_ANOTHER: Final[dict[str, list[JsonValue]]] = {
    "migration_port_min": [0, 1, 2, 49151, 49152, 49214, 49215, 49216, 50000, 65534, 65535],
    "migration_port_max": [1, 2, 3, 49152, 49153, 49215, 49216, 50000, 65534, 65535, 65536],
    "remote_display_port_min": [5899, 5900, 5901, 6000, 65534, 65535],
    "remote_display_port_max": [5900, 5901, 6000, 6001, 65534, 65535, 65536],
    "remote_websocket_port_min": [5699, 5700, 5701, 6000, 65534, 65535],
    "remote_websocket_port_max": [5700, 5701, 6000, 6001, 65534, 65535, 65536],
    "backup_port_min": [0, 1, 10808, 10809, 10871, 10872, 10873, 65534, 65535],
    "backup_port_max": [1, 2, 10809, 10810, 10872, 10873, 65534, 65535, 65536],
    "security_driver": ["none", ["none"], ["none", "none"]],
    "security_require_confined": [0, 1],
    "security_default_confined": [0, 1],
    "seccomp_sandbox": [-(2**31) - 1, -(2**31), -2, -1, 1, 2, 2**31 - 1, 2**31],
    "gluster_debug_level": [-1, 0, 9, 10, 2**32 - 1, 2**32],
    "max_queued": [0, 2**32 - 1, 2**32],
    "keepalive_interval": [-1, 0, 2**31 - 1, 2**31],
}


def of_several(draw: random.Random) -> str:
    """The text of a file with one to three settings that libvirt checks with one another."""
    pairs = [
        ["migration_port_min", "migration_port_max"],
        ["remote_display_port_min", "remote_display_port_max"],
        ["remote_websocket_port_min", "remote_websocket_port_max"],
        ["backup_port_min", "backup_port_max"],
        ["security_driver", "security_require_confined", "security_default_confined"],
    ]
    keys = draw.choice([*pairs, draw.sample(sorted(WITH_ONE_ANOTHER), draw.randint(1, 3))])
    if "security_require_confined" in keys and "security_driver" not in keys:
        keys = [*keys, "security_driver"]  # without it the host decides
    draw.shuffle(keys)
    keys += draw.sample(keys, draw.randint(0, 1))  # of two the first one counts
    return "".join(f"{key} = {_spelled(draw.choice(WITH_ONE_ANOTHER[key]))}\n" for key in keys)


def test_settings_together_are_taken_as_validate_says(
    host: Host, release: tuple[int, ...], request: pytest.FixtureRequest
) -> None:
    """libvirtd started on generated pairs and triples: it starts if there is no error, and
    only then. Each draw is of the seed of the run."""
    draw = random.Random(request.config.getoption("--seed"))
    exhaustive = request.config.getoption("--exhaustive", default=False)
    texts = {of_several(draw) for _ in range(4000 if exhaustive else 60)}
    verdicts: list[bool] = []
    with ThreadPoolExecutor(2) as pool:
        outcomes = pool.map(lambda text: start(host, "qemu.conf", text), sorted(texts))
        for text, outcome in zip(sorted(texts), outcomes, strict=True):
            errors = [
                finding
                for finding in check(parse(text.encode(), QEMU, "qemu.conf"), release)
                if finding.severity == "error"
            ]
            assert outcome.started == (not errors), f"{text}{errors}\n{outcome.log}"
            verdicts.append(outcome.started)
    assert {True, False} == set(verdicts)


def test_random_settings_start_as_validate_says_on_the_host(
    host: Host, release: tuple[int, ...], request: pytest.FixtureRequest
) -> None:
    """One to four settings of qemu.conf, three quarters of them with right values, those that this
    libvirt does not know among them. Each draw is of the seed of the run."""
    draw = random.Random(request.config.getoption("--seed"))
    exhaustive = request.config.getoption("--exhaustive", default=False)
    schemas = list(DOCUMENTS["qemu.conf"]["properties"].items())

    def text() -> str:
        lines = []
        for key, schema in draw.sample(schemas, draw.randint(1, 4)):
            wrong = [
                each.value
                for each in wrong_values(schema)
                # libvirt makes some of these, where the host's file system can be written.
                if each.by_type or not schema["x-libvirt"].get("path") or each.value == RELATIVE
            ]
            right = draw.random() < 0.75 or not wrong
            value = draw.choice(right_values(key, schema, release) if right else wrong)
            lines.append(f"{key} = {_spelled(value)}\n")
        return "".join(lines)

    def outcome(text: str) -> tuple[bool, str, list[str]]:
        started, log = start(host, "qemu.conf", text)
        done = host.run({"qemu.conf": text}, LOCKCFG, "validate", "--json")
        found = json.loads(done.stdout)["findings"]
        return started, log, [each["message"] for each in found if each["severity"] == "error"]

    # Without a lock daemon beside it libvirtd does not start with that lock manager.
    texts = [
        each for each in (text() for _ in range(1500 if exhaustive else 30)) if "lockd" not in each
    ]
    with ThreadPoolExecutor(2) as pool:
        for each, (started, log, errors) in zip(texts, pool.map(outcome, texts), strict=True):
            assert started == (not errors), f"{each}{errors}\n{log}"


def test_what_holds_together_is_said_alike_to_editors() -> None:
    """The one-sided part of it, which JSON Schema can say, against the table beside it."""
    draw = random.Random(1)
    for _ in range(2000):
        keys = draw.sample(sorted(WITH_ONE_ANOTHER), draw.randint(1, 3))
        settings = {key: draw.choice(WITH_ONE_ANOTHER[key]) for key in keys}
        each = all(
            is_valid(DOCUMENTS["qemu.conf"]["properties"][key], value)
            for key, value in settings.items()
        )
        values = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in settings.items()
        }
        broken = [
            rule
            for rule in together_in(QEMU)
            if rule.broken_by(values) and (set(rule.keys) & set(values)) != set(rule.keys[:2])
        ]
        if each and "security_driver" not in settings:
            both = any(set(rule.keys) <= set(settings) for rule in together_in(QEMU))
            assert both or is_right("qemu.conf", settings) == (not broken), settings


@pytest.mark.parametrize(
    ("text", "right", "taken"),
    [
        pytest.param("vnc_tls = -0", True, False, id="a bool has no sign"),
        pytest.param("max_queued = -0", True, False, id="nor has an unsigned integer"),
        pytest.param('user = "nobody-of-that-name"', True, False, id="no such user"),
        pytest.param('vnc_tls_x509_cert_dir = "/run/missing"', True, False, id="no such directory"),
        pytest.param('migration_host = "0x7f000001"', True, False, id="127.0.0.1 in disguise"),
    ],
)
def test_where_a_schema_cannot_follow(host: Host, text: str, right: bool, taken: bool) -> None:
    """It sees one value, not its spelling, the other settings or the host."""
    key, value = text.split(" = ")
    assert is_right("qemu.conf", {key: json.loads(value)}) == right
    assert start(host, "qemu.conf", text).started == taken


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("vnc_tls = 18446744073709551617", id="2**64 + 1 as 1"),
        pytest.param("keepalive_interval = 18446744073709551615", id="2**64 - 1 as -1"),
    ],
)
def test_an_integer_that_is_too_large(host: Host, release: tuple[int, ...], text: str) -> None:
    """libvirt 9.0 reads another one, 11.3 and newer refuse to start; a schema refuses it."""
    key, value = text.split(" = ")
    assert not is_right("qemu.conf", {key: json.loads(value)})
    assert release <= (9, 0, 0) or release >= (11, 3, 0), "not seen yet: what does it do?"
    assert start(host, "qemu.conf", text).started == (release <= (9, 0, 0))
