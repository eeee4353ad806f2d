"""Our checker of values and a real JSON Schema validator are of one mind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from lockcfg.conf.files import KINDS
from lockcfg.conf.load import parse
from lockcfg.conf.settings import Setting, schema_of, settings_of, spell
from lockcfg.nearest import nearest

if TYPE_CHECKING:
    from lockcfg.conf.document import Value

SETTINGS = [setting for kind in KINDS.values() for setting in settings_of(kind).values()]

text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
integers = st.one_of(
    st.integers(-3, 10),
    st.sampled_from([-(2**63), 2**31, 2**32, 65535, 65536, 2**64 - 1]),
)
words = sorted({choice for setting in SETTINGS for choice in setting.choices})
scalars = st.one_of(integers, text, st.sampled_from([*words, "/a", "a", ""]))
values = st.one_of(scalars, st.lists(scalars, max_size=3).map(tuple))


@given(setting=st.sampled_from(SETTINGS), value=values)
def test_the_verdict_is_that_of_the_json_schema(setting: Setting, value: Value) -> None:
    """For every value that the syntax can hold, spelled as the samples spell it."""
    try:
        literal = spell(value)
    except ValueError:
        return
    schema = schema_of(setting.kind)["properties"][setting.key]
    instance = list(value) if isinstance(value, tuple) else value
    fine = Draft202012Validator(schema).is_valid(instance)
    assert (setting.objection(value, literal) is None) == fine


@given(value=values)
def test_what_is_spelled_is_read_back(value: Value) -> None:
    """Whatever the value, if the syntax can hold it at all."""
    try:
        literal = spell(value)
    except ValueError:
        assert not isinstance(value, int)
        return
    document = parse(f"key = {literal}\n".encode(), KINDS["qemu.conf"], "f")
    assert [entry.value for entry in document.entries] == [value]


def test_a_minus_sign_is_more_than_a_schema_can_see() -> None:
    """-0 is 0 to JSON and no boolean to libvirt."""
    setting = settings_of(KINDS["qemu-lockd.conf"])["auto_disk_leases"]
    assert setting.objection(0, "0") is None
    objection = setting.objection(0, "-0")
    assert objection is not None
    assert objection.rule == "wrong-type"


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_schema_says_all_that_is_promised(name: str) -> None:
    """Each setting has a description, a type, a release, and a default or where it comes from."""
    schema = schema_of(KINDS[name])
    Draft202012Validator.check_schema(schema)
    for key, setting in settings_of(KINDS[name]).items():
        assert setting.description, key
        assert setting.expected, key
        assert setting.since[0].isdigit(), key
        if setting.default is not None:
            assert setting.objection(setting.default, json.dumps(setting.default)) is None, key


def test_the_nearest_word() -> None:
    """A slip of the finger is recognised, another word is not."""
    assert nearest("lock_managr", ["lock_manager", "user"]) == "lock_manager"
    assert nearest("completely_different", ["lock_manager", "user"]) is None
