"""The policy, ``fleet.yaml``: which hosts share storage, how to configure them, and what it waives.

``schemas/fleet.schema.json`` describes it.
"""

from __future__ import annotations

import datetime

from lockcfg.fleet.model.words import Words
from lockcfg.fleet.policy.host_ranges import HostPatterns
from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Final

    from lockcfg.conf.document import Value

#: How old the facts about a host may be by default, in hours.
MAX_AGE_HOURS: Final = 24


class PolicyGroup(Frozen):
    """A group of ``hosts`` that share storage. ``settings`` must be in force on each. ``storage``
    has the place of each lockspace directory, by setting, as the audit names places.
    ``failed_hosts`` is how many of the hosts may fail at once and leave their guests to the
    others."""

    __slots__ = ("failed_hosts", "hosts", "name", "settings", "storage")

    def __init__(
        self,
        name: str,
        hosts: Sequence[str],
        *,
        settings: Mapping[str, Value] | None = None,
        storage: Mapping[str, str] | None = None,
        failed_hosts: int = 0,
    ) -> None:
        self.name: Final = name
        self.hosts: Final = HostPatterns(hosts)
        self.settings: Final = dict(settings or {})
        self.storage: Final = dict(storage or {})
        self.failed_hosts: Final = failed_hosts


class PolicyWaiver(Frozen):
    """A waiver: findings of ``rule`` about ``hosts`` do not count, for a ``reason``, up to and
    including the day ``until``."""

    __slots__ = ("hosts", "reason", "rule", "until")

    def __init__(
        self, rule: str, hosts: Sequence[str], reason: str, until: datetime.date | None
    ) -> None:
        self.rule: Final = rule
        self.hosts: Final = HostPatterns(hosts)
        self.reason: Final = reason
        self.until: Final = until

    def has_expired(self, now: int) -> bool:
        """Whether its last day is over, in UTC."""
        if self.until is None:
            return False
        return datetime.datetime.fromtimestamp(now, datetime.UTC).date() > self.until


class Policy(Frozen):
    """A policy; ``path`` is its file. ``max_age`` is in seconds. ``words`` is what it says about
    storage that no host can identify."""

    __slots__ = ("groups", "max_age", "path", "waivers", "words")

    def __init__(
        self,
        path: str,
        groups: Sequence[PolicyGroup],
        waivers: Sequence[PolicyWaiver] = (),
        max_age: int = MAX_AGE_HOURS * 3600,
        words: Words | None = None,
    ) -> None:
        self.words: Final = words
        self.path: Final = path
        self.groups: Final = tuple(groups)
        self.waivers: Final = tuple(waivers)
        self.max_age: Final = max_age

    def group_of(self, host: str) -> PolicyGroup | None:
        """The group of a host: the first group that names it."""
        return next((group for group in self.groups if host in group.hosts), None)


def load_policy(path: str) -> Policy:
    """The policy at ``path``. Raises :class:`ReadError`, and :class:`UsageError` with the place for
    what the schema does not accept."""
    from lockcfg.conf.load import read_bytes
    from lockcfg.yamlschema import load_yaml

    text = read_bytes(path)
    return policy_from(load_yaml(text, path), path, text)


def policy_from(content: Any, path: str, text: bytes = b"") -> Policy:
    """The policy in ``content``, which is the parsed ``text``. Raises :class:`UsageError`."""
    from lockcfg.fleet.rules import is_rule
    from lockcfg.yamlschema import check_against, load_schema, plain, refusal

    content = plain({} if content is None else content, path)
    check_against(load_schema("fleet"), content, text, path)
    waivers: list[PolicyWaiver] = []
    for number, each in enumerate(content.get("waivers", ())):
        if not is_rule(each["rule"]):
            message = f"no rule is called '{each['rule']}'"
            keys = ("waivers", number, "rule")
            raise refusal(text, path, keys, message, help="see 'lockcfg rules'")
        until = each.get("until")
        try:
            day = None if until is None else datetime.date.fromisoformat(until)
        except ValueError:
            keys = ("waivers", number, "until")
            message = f"'{until}' is not a date"
            raise refusal(text, path, keys, message, help="write YYYY-MM-DD") from None
        waivers.append(PolicyWaiver(each["rule"], each["hosts"], each["reason"], day))
    return Policy(
        path,
        [
            PolicyGroup(
                name,
                group["hosts"],
                settings={
                    key: tuple(value) if isinstance(value, list) else value
                    for key, value in group.get("settings", {}).items()
                },
                storage=group.get("storage"),
                failed_hosts=group.get("failed-hosts", 0),
            )
            for name, group in content.get("groups", {}).items()
        ],
        waivers,
        content.get("max-age-hours", MAX_AGE_HOURS) * 3600,
        Words(content.get("same-storage", ()), content.get("different-storage", ()))
        if "same-storage" in content or "different-storage" in content
        else None,
    )
