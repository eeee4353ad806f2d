"""What the tests of the reporters share: a finished run to report, and a hostile one."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from lockcfg.findings import Finding, Place
from lockcfg.lint.result import (
    LintFinding,
    LintFix,
    LintReplacement,
    LintResult,
    Suppression,
)
from lockcfg.report.lint import render
from lockcfg.rules.rule import RuleInfo

ROOT = "/srv/repository"
DATA = Path(__file__).parent.parent / "data"

RULES = (
    RuleInfo("LK101", "syntax", "error", "A file that libvirt cannot parse.", "docs/LK101.md"),
    RuleInfo("LK102", "unknown-key", "warning", "A setting {it} does not know.", "https://x/LK102"),
    RuleInfo("LK205", "sample-trap", "info", "A sample.", ""),
)


def fingerprint(number: int) -> str:
    """64 hex digits."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def diagnostic(number: int = 0, **changes: Any) -> LintFinding:
    """An unknown setting on a line of its own, or what the fields of a finding make of it."""
    fields: dict[str, Any] = {
        "rule": "unknown-key",
        "severity": "warning",
        "message": "unknown setting 'lock_managr': libvirt ignores it",
        "path": f"{ROOT}/hosts/a/qemu.conf",
        "place": ...,
        "key": "lock_managr",
        "help": "did you mean 'lock_manager'?",
        "code": "LK102",
        "fix": LintFix(
            "safe", "rename it to lock_manager", [LintReplacement(3, 1, 3, 12, "lock_manager")]
        ),
        "suppression": None,
    }
    fields |= changes
    if fields["place"] is ...:
        fields["place"] = Place(fields["path"], 3, 1, 'lock_managr = "lockd"', 11)
    code, fix, suppression = (fields.pop(name) for name in ("code", "fix", "suppression"))
    return LintFinding(code, Finding(**fields), fingerprint(number), fix, suppression)


def sample() -> LintResult:
    """A run with something of everything."""
    other = f"{ROOT}/hosts/b c/qemu.conf"
    return LintResult(
        [
            diagnostic(1),
            diagnostic(
                2,
                rule="syntax",
                severity="error",
                code="LK101",
                message="expecting a value [here](1), 100% {sure}",
                place=Place(f"{ROOT}/hosts/a/qemu.conf", 7, 5, "é漢 = ", 0),
                key=None,
                help="",
                fix=None,
            ),
            diagnostic(
                3,
                path=other,
                fix=LintFix("unsafe", "remove it", [LintReplacement(3, 1, 4, 1, "")]),
            ),
            diagnostic(4, path=other, suppression=Suppression("inline", "old, ticket 7")),
            diagnostic(5, path=other, suppression=Suppression("settings", "known")),
            diagnostic(6, path=other, suppression=Suppression("baseline", "in the baseline")),
            diagnostic(
                7,
                path="/etc/libvirt/qemu.conf",
                rule="sample-trap",
                severity="info",
                code="LK205",
                place=None,
                key=None,
                help="",
                fix=None,
            ),
        ],
        RULES,
        files=4,
        hosts=2,
        notes=[(f"{ROOT}/hosts/c/qemu.conf", "a template, passed over")],
        unreadable=[(f"{ROOT}/hosts/d/qemu.conf", "Permission denied")],
        version="0.1.0",
    )


def empty() -> LintResult:
    """A run that found nothing."""
    return LintResult([], RULES, files=3, hosts=1)


def rendered(result: LintResult, format: str, *, root: str = ROOT, statistics: bool = False) -> str:
    """What a format makes of a run. It must be text that UTF-8 can hold."""
    stream = io.StringIO()
    render(result, format, stream, root=root, statistics=statistics)
    output = stream.getvalue()
    output.encode()
    return output


def strict_json(text: str) -> Any:
    """JSON as the strictest reader takes it: no NaN, and no half of a surrogate pair."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    content = json.loads(text, parse_constant=refuse)
    json.dumps(content, ensure_ascii=False).encode()
    return content


def xmllint(text: str, schema: Path | None = None) -> None:
    """Hold a document against libxml2, and against an XML schema."""
    against = ["--schema", str(schema)] if schema else []
    command = ["xmllint", "--noout", "--nonet", *against, "-"]
    result = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()


_PIECES = (
    "\n",
    "\r\n",
    "\x00",
    "\x1b[2J",
    "\x85",
    "\u2028",
    "\u202e",
    "\udcff",
    "\ud800",
    "\ufffe",
    "::",
    "::error file=x::",
    "##vso[task.complete result=Failed]",
    "]]>",
    "<!--",
    "&amp;",
    "%0A",
    "%25",
    "%AZP25",
    "%3B",
    ";",
    ",",
    "=",
    '"',
    "'",
    "\\",
    "{0}",
    "[a](http://x)",
    "../",
    "./",
    "//",
    "é漢",
    "x" * 10_000,
)

#: Text that no user would write.
hostile_text = st.lists(
    st.one_of(st.sampled_from(_PIECES), st.text(st.characters(exclude_categories=()), max_size=10)),
    max_size=5,
).map("".join)

_places = st.builds(
    Place,
    hostile_text,
    st.integers(1, 2**31 - 1),
    st.integers(1, 2**30),
    hostile_text,
    st.integers(0, 2**30),
)

_fixes = st.builds(
    LintFix,
    st.sampled_from(["safe", "unsafe"]),
    hostile_text,
    st.lists(
        st.builds(
            LintReplacement,
            st.integers(1, 10),
            st.integers(1, 10),
            st.integers(10, 20),
            st.integers(10, 20),
            hostile_text,
        ),
        max_size=3,
    ),
)

_suppressions = st.builds(
    Suppression, st.sampled_from(["inline", "settings", "baseline"]), hostile_text
)

_diagnostics = st.builds(
    diagnostic,
    st.integers(0, 10_000),
    severity=st.sampled_from(["error", "warning", "info"]),
    code=st.sampled_from(["LK101", "LK102", "LK999"]),
    message=hostile_text,
    path=hostile_text,
    place=st.none() | _places,
    key=st.none() | hostile_text,
    help=hostile_text,
    fix=st.none() | _fixes,
    suppression=st.none() | _suppressions,
)

#: Runs over files that want to break the report.
hostile_results = st.builds(
    LintResult,
    st.lists(_diagnostics, max_size=5).map(lambda each: sorted(each, key=lambda d: d.finding.path)),
    st.just(RULES),
    files=st.integers(0, 10),
    hosts=st.integers(0, 10),
    notes=st.lists(st.tuples(hostile_text, hostile_text), max_size=2),
    unreadable=st.lists(st.tuples(hostile_text, hostile_text), max_size=2),
)
