"""The commands that read: get, show, validate, diff, schema, completion."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from lockcfg.conf.files import KINDS
from lockcfg.main import COMMANDS

if TYPE_CHECKING:
    from tests.conftest import RunLockcfg

SCHEMA = json.loads(
    (Path(__file__).parent.parent.parent / "schemas/output.schema.json").read_text()
)


def conforms(output: str, definition: str) -> dict[str, object]:
    """The JSON that was printed, after it was held against its schema."""
    report: dict[str, object] = json.loads(output)
    validator = Draft202012Validator({**SCHEMA, "$ref": f"#/$defs/{definition}"})
    assert [error.message for error in validator.iter_errors(report)] == []
    return report


def write(root: Path, name: str, text: str) -> Path:
    """One of the host's files."""
    path = root / "etc/libvirt" / name
    path.write_text(text)
    return path


def test_get_prints_the_value_as_it_is(lockcfg: RunLockcfg, host_root: Path) -> None:
    """Without quotes; a list one element on a line; the first of two."""
    write(
        host_root,
        "qemu.conf",
        "lock_manager = 'lockd'\nlock_manager = \"nop\"\nmax_files = +7\n"
        'namespaces = [ "mount",\n "x" ]\nuser = ""\n',
    )

    def get(key: str) -> str:
        result = lockcfg("get", key, "--root", host_root)
        assert (result.returncode, result.stderr) == (0, "")
        return result.stdout

    assert get("lock_manager") == "lockd\n"
    assert get("max_files") == "7\n"
    assert get("namespaces") == "mount\nx\n"
    assert get("user") == "\n"


def test_get_of_what_is_not_set(lockcfg: RunLockcfg, host_root: Path) -> None:
    """A negative answer: status 1 and nothing printed, unless the default is asked for."""
    result = lockcfg("get", "auto_disk_leases", "--root", host_root)
    assert (result.returncode, result.stdout) == (1, "")
    assert "is not set" in result.stderr
    assert "default: 1" in result.stderr
    result = lockcfg("get", "--default", "auto_disk_leases", "--root", host_root)
    assert (result.returncode, result.stdout) == (0, "1\n")


def test_get_of_a_key_that_is_none(lockcfg: RunLockcfg, host_root: Path) -> None:
    """With the nearest one."""
    result = lockcfg("get", "lock_managr", "--root", host_root)
    assert result.returncode == 2
    assert "did you mean 'lock_manager'?" in result.stderr


def test_get_keeps_every_byte_in_a_pipe(lockcfg: RunLockcfg, host_root: Path) -> None:
    """What is not UTF-8 comes out as it is in the file."""
    path = host_root / "etc/libvirt/qemu.conf"
    path.write_bytes(b'user = "caf\xe9"\n')
    command = [*lockcfg("--version").args[:1], "get", "user", "--root", host_root]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"caf\xe9\n"


def test_get_as_json(lockcfg: RunLockcfg, host_root: Path) -> None:
    """Set and unset, with the place."""
    path = write(host_root, "qemu.conf", '\nlock_manager = "lockd"\n')
    report = conforms(lockcfg("get", "--json", "lock_manager", "--root", host_root).stdout, "get")
    assert report["value"] == "lockd"
    assert report["place"] == {"path": str(path), "line": 2, "column": 16}
    result = lockcfg("get", "--json", "max_clients", "--root", host_root)
    report = conforms(result.stdout, "get")
    assert result.returncode == 1
    assert (report["set"], report["value"], report["place"]) == (False, 1024, None)


def test_show_tells_the_origin_of_each_setting(lockcfg: RunLockcfg, host_root: Path) -> None:
    """File and line, or default; and the verdict."""
    write(host_root, "qemu.conf", '# c\nlock_manager = "lockd"\n')
    result = lockcfg("show", "--root", host_root)
    assert result.returncode == 0
    assert 'lock_manager             "lockd"  qemu.conf:2' in result.stdout
    assert "auto_disk_leases         1        default" in result.stdout
    assert "Protection: this host" in result.stdout


def test_show_as_json(lockcfg: RunLockcfg, host_root: Path) -> None:
    """Every setting, and a password hidden."""
    write(host_root, "qemu.conf", 'lock_manager = "lockd"\nvnc_password = "hunter2"\nfoo = 1\n')
    result = lockcfg("show", "--all", "--json", "--root", host_root)
    report = conforms(result.stdout, "show")
    assert "hunter2" not in result.stdout
    settings = report["settings"]
    assert isinstance(settings, list)
    assert len(settings) > 100
    assert "hunter2" not in lockcfg("show", "--all", "--root", host_root).stdout


def test_show_of_a_host_with_a_broken_file(lockcfg: RunLockcfg, host_root: Path) -> None:
    """The place, the line, the caret, and the same as JSON."""
    write(host_root, "qemu.conf", 'user = "a"\nlock_manager = lockd\n')
    result = lockcfg("show", "--root", host_root)
    assert result.returncode == 3
    assert "qemu.conf:2:16: error: expecting a value" in result.stderr
    assert "  2 | lock_manager = lockd\n    |                ^" in result.stderr
    result = lockcfg("show", "--json", "--root", host_root)
    assert result.returncode == 3
    conforms(result.stdout, "error")


def test_validate_of_the_files_that_libvirt_ships(lockcfg: RunLockcfg, host_root: Path) -> None:
    """Nothing to say."""
    result = lockcfg("validate", host_root)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "0 findings in 7 files\n"


def test_validate_of_a_tree(lockcfg: RunLockcfg, tmp_path: Path) -> None:
    """All files of all hosts, in the order of their paths, whatever else is there."""
    for host, text in (("b", 'user = 5\nfoo = "x"\n'), ("a", "user = root\n"), ("c", "")):
        (tmp_path / host).mkdir()
        (tmp_path / host / "qemu.conf").write_text(text)
        (tmp_path / host / "other.conf").write_text("not ours")
    (tmp_path / "a/loop").symlink_to(tmp_path)
    result = lockcfg("validate", tmp_path)
    assert result.returncode == 1
    lines = [line for line in result.stdout.splitlines() if line.startswith(str(tmp_path))]
    assert [line.split(": ")[0] for line in lines] == [
        f"{tmp_path}/a/qemu.conf:1:8",
        f"{tmp_path}/b/qemu.conf:1:8",
        f"{tmp_path}/b/qemu.conf:2:1",
    ]
    assert result.stdout.endswith("3 findings in 3 files\n")
    report = conforms(lockcfg("validate", "--json", tmp_path).stdout, "validate")
    assert report["files"] == 3


def test_validate_of_a_file_by_another_name(lockcfg: RunLockcfg, tmp_path: Path) -> None:
    """It must be said what it is."""
    path = tmp_path / "candidate"
    path.write_text("max_clients = 5\n")
    assert lockcfg("validate", path).returncode == 2
    assert lockcfg("validate", path, "--as", "virtlockd.conf").returncode == 0
    assert lockcfg("validate", path, "--as", "qemu.conf").returncode == 1


def test_diff_is_about_meaning(lockcfg: RunLockcfg, tmp_path: Path, host_root: Path) -> None:
    """Comments, order, spelling and the default spelled out are no difference."""
    other = tmp_path / "other/etc/libvirt"
    other.mkdir(parents=True)
    (other / "qemu.conf").write_text("lock_manager = 'nop'  # why\n")
    result = lockcfg("diff", host_root, tmp_path / "other")
    assert (result.returncode, result.stdout) == (0, "no difference\n")
    (other / "qemu-lockd.conf").write_text("auto_disk_leases=0;")
    result = lockcfg("diff", "--json", host_root, tmp_path / "other")
    assert result.returncode == 1
    report = conforms(result.stdout, "diff")
    assert report["differences"] == [
        {"file": "qemu-lockd.conf", "key": "auto_disk_leases", "left": 1, "right": 0},
        {"file": "qemu-lockd.conf", "key": "require_lease_for_disks", "left": 0, "right": 1},
    ]


def test_diff_of_files_hides_passwords(lockcfg: RunLockcfg, tmp_path: Path) -> None:
    """It says that they differ and not how."""
    for name, password in (("one", "hunter2"), ("two", "hunter3")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "qemu.conf").write_text(f'vnc_password = "{password}"\n')
    for options in ((), ("--json",)):
        result = lockcfg("diff", *options, tmp_path / "one", tmp_path / "two")
        assert result.returncode == 1
        assert "vnc_password" in result.stdout
        assert "hunter" not in result.stdout


def test_schema_describes_a_setting(lockcfg: RunLockcfg) -> None:
    """In words, and as JSON Schema."""
    result = lockcfg("schema", "lock_manager")
    assert result.returncode == 0
    assert "nop, lockd, sanlock" in result.stdout
    schema = json.loads(lockcfg("schema", "--json", "qemu-lockd.conf").stdout)
    Draft202012Validator.check_schema(schema)
    assert lockcfg("schema", "lock_managr").returncode == 2
    for name in KINDS:
        assert lockcfg("schema", name).returncode == 0


def test_schema_checks_a_rendering(lockcfg: RunLockcfg, tmp_path: Path) -> None:
    """YAML or JSON, with the real validator."""
    path = tmp_path / "host.yaml"
    path.write_text("lock_manager: lockd\nnamespaces: [mount]\nmax_core: unlimited\n")
    assert lockcfg("schema", "qemu.conf", "--check", path).returncode == 0
    path.write_text('{"lock_manager": "lockdd", "nope": 1}')
    result = lockcfg("schema", "qemu.conf", "--check", path)
    assert result.returncode == 1
    assert "lockdd" in result.stdout
    assert "nope" in result.stdout
    path.write_text("a: [")
    assert lockcfg("schema", "qemu.conf", "--check", path).returncode == 3


@pytest.mark.parametrize("words", [(), ("frobnicate",), ("get",), ("set", "lock_manager")])
def test_wrong_usage_is_2(lockcfg: RunLockcfg, words: tuple[str, ...]) -> None:
    """And says what is right."""
    result = lockcfg(*words)
    assert result.returncode == 2
    assert result.stderr
    assert "Traceback" not in result.stderr


def test_bash_completes(lockcfg: RunLockcfg, tmp_path: Path) -> None:
    """A real bash, asked what may follow 'lockcfg va'."""
    script = tmp_path / "lockcfg.bash"
    script.write_text(lockcfg("completion", "bash").stdout)
    ask = f"""
        source {script}
        COMP_WORDS=(lockcfg va) COMP_CWORD=1 COMP_LINE='lockcfg va' COMP_POINT=10
        function=$(complete -p lockcfg | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        $function lockcfg va lockcfg
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    result = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["validate"]


def test_fish_completes(lockcfg: RunLockcfg, tmp_path: Path) -> None:
    """A real fish: commands and options, each with what it is for."""
    script = tmp_path / "lockcfg.fish"
    script.write_text(lockcfg("completion", "fish").stdout)
    ask = f"source {script}; complete -C 'lockcfg va'; complete -C 'lockcfg get --js'"
    result = subprocess.run(
        ["fish", "--no-config", "-c", ask], capture_output=True, text=True, check=True
    )
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == ["validate", "--json"]


#: zsh completes at a terminal alone, so one is asked through a pseudoterminal.
ASK_ZSH = r"""
zmodload zsh/zpty
zpty z 'zsh -f -i'
zpty -w z "PS1= fpath=($1 \$fpath) TERM=dumb; unsetopt zle_bracketed_paste
autoload -U compinit; compinit -u -D; bindkey '^I' complete-word"
zpty -w z "echo be''gin"
zpty -r -m z REPLY '*begin*'
zpty -n -w z "lockcfg va"$'\t'
zpty -r -m z REPLY '*lockcfg validate*' && print found
zpty -d z
"""


def test_zsh_completes(lockcfg: RunLockcfg, tmp_path: Path) -> None:
    """A real zsh, in which the tab key is pressed."""
    (tmp_path / "_lockcfg").write_text(lockcfg("completion", "zsh").stdout)
    result = subprocess.run(
        ["zsh", "-f", "-c", ASK_ZSH, "zsh", tmp_path],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.stdout == "found\n"


def test_output_into_a_closed_pipe_is_no_traceback(lockcfg: RunLockcfg, host_root: Path) -> None:
    """As with head."""
    command = f"{lockcfg('--version').args[0]} show --all --root {host_root} | head -n 1"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert "Traceback" not in result.stderr
    assert "BrokenPipe" not in result.stderr


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"collect", "completion"}))
def test_wrong_usage_with_json_is_answered_in_json(lockcfg: RunLockcfg, command: str) -> None:
    """By argparse and by the command: a program that reads the answer can always read it."""
    result = lockcfg(command, "--json", "--no-such-option")
    assert (result.returncode, result.stderr) == (2, "")
    conforms(result.stdout, "error")
    assert lockcfg(command, "--no-such-option").stdout == ""


def test_no_such_command_with_json(lockcfg: RunLockcfg) -> None:
    result = lockcfg("valdate", "--json")
    assert (result.returncode, result.stderr) == (2, "")
    conforms(result.stdout, "error")


def test_validate_counts_what_it_read(lockcfg: RunLockcfg, tmp_path: Path) -> None:
    (tmp_path / "qemu.conf").write_text("vnc_tls = 1\n")
    (tmp_path / "libxl.conf").write_text("nonsense\n")
    (tmp_path / "virtlockd.conf").symlink_to("nowhere")
    result = lockcfg("validate", tmp_path)
    assert result.returncode == 3
    assert result.stdout.endswith("1 finding in 2 files\n")
    assert conforms(lockcfg("validate", "--json", tmp_path).stdout, "validate")["files"] == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_json(command: str, lockcfg: RunLockcfg) -> None:
    """And says so."""
    assert "--json" in lockcfg(command, "--help").stdout


def test_programs_as_json(lockcfg: RunLockcfg) -> None:
    """Their texts are the same as without."""
    for command, argument, member in (
        ("completion", "bash", "script"),
        ("collect", "--print-collector", "program"),
    ):
        plain = lockcfg(command, argument).stdout
        assert conforms(lockcfg(command, argument, "--json").stdout, command)[member] == plain


def test_a_plan_of_a_probe_as_json(lockcfg: RunLockcfg, tmp_path: Path) -> None:
    """Which file was written."""
    plan = str(tmp_path / "plan.json")
    report = lockcfg("probe", "--json", "--hosts", "kvm[01-02]", "--write-plan", plan)
    assert conforms(report.stdout, "probe") == {
        "written": [plan],
        "silent": [],
        "probe": [],
        "errors": {},
    }


def test_an_error_of_the_collector_as_json(lockcfg: RunLockcfg, tmp_path: Path) -> None:
    """In place of nothing on standard output."""
    result = lockcfg("collect", "--json", "--no-probe", "--output", tmp_path / "no/such.json")
    report = conforms(result.stdout, "error")
    assert (result.returncode, result.stderr) == (3, "")
    assert "no/such.json: No such file or directory" in str(report["error"])
