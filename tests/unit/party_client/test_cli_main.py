"""The command's frame: fast, lazy, and plain about what went wrong."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import NoReturn

import click
import pytest

from party_client.cli import main as frame
from party_client.cli.main import main
from protos.formats.errors import ConcordatError

HEAVY = {"cbor2", "cryptography", "duckdb", "grpc", "pandas", "pyarrow", "rich", "sqlglot"}
PROBE = """
import sys
{before}
from party_client.cli.main import main
status = main({arguments})
print("MODULES", *sorted(sys.modules))
sys.exit(status)
"""


def run_python(arguments: list[str], before: str = "") -> subprocess.CompletedProcess[str]:
    script = PROBE.format(before=before, arguments=arguments)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


def user_seconds(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run(command, check=True, capture_output=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def fails_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    """The exit status of a command that raises `error`."""

    @click.command()
    def failing() -> NoReturn:
        raise error

    monkeypatch.setattr(frame.CommandGroups, "get_command", lambda *_: failing)
    return main(["identity"])


def test_help_lists_every_installed_group_and_imports_nothing_heavy() -> None:
    shown = run_python(["--help"])
    assert shown.returncode == 0, shown.stderr
    names = {entry.name for entry in metadata.entry_points(group=frame.ENTRY_POINTS)}
    assert names >= {"agreement", "attestation", "identity", "tls"}
    assert all(re.search(rf"^  {name}\b", shown.stdout, re.MULTILINE) for name in names)
    assert "Write, understand, compare and sign an agreement" in shown.stdout
    modules = {name.partition(".")[0] for name in shown.stdout.partition("MODULES ")[2].split()}
    assert modules & HEAVY == set()


def test_help_is_fast() -> None:
    command = [sys.executable, "-m", "party_client.cli.main", "--help"]
    assert min(user_seconds(command) for _ in range(3)) < 0.3


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"concordat {metadata.version('concordat')}\n"


def test_missing_package_names_the_extra_to_install() -> None:
    refused = run_python(["identity", "new", "x"], before="sys.modules['cryptography'] = None")
    assert refused.returncode == 1
    assert refused.stderr == (
        "error: `concordat identity` needs the party extra (cryptography is not installed)\n"
        "hint: pip install 'concordat[party]'\n"
    )


def test_module_of_ours_that_is_missing_is_not_called_an_extra() -> None:
    refused = run_python(["identity", "new", "x"], before="sys.modules['party_client.identity'] = None")
    assert refused.returncode == 1
    assert "extra" not in refused.stderr


def test_error_is_two_lines_and_exit_status_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fails_with(monkeypatch, ConcordatError("it is [red]so[/red]", hint="do that")) == 1
    assert capsys.readouterr().err == "error: it is [red]so[/red]\nhint: do that\n"
    assert fails_with(monkeypatch, ConcordatError("x" * 500)) == 1
    assert capsys.readouterr().err == f"error: {'x' * 500}\n"


def test_control_characters_of_others_do_not_reach_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fails_with(monkeypatch, ConcordatError("name \x1b[2K\u202eevil"))
    assert capsys.readouterr().err == "error: name \\x1b[2K\\u202eevil\n"


@pytest.mark.parametrize(
    ("arguments", "complaint", "hint"),
    [
        (["agrement"], "there is no command 'agrement'; did you mean 'agreement'?", "concordat --help"),
        (["zzz"], "there is no command 'zzz'", "concordat --help"),
        (["identity", "nwe"], "nwe", "concordat identity --help"),
        (["identity", "new"], "Missing argument 'ID'.", "concordat identity new --help"),
        (["--nonsense"], "No such option", "concordat --help"),
        (["identity", "show", "/nowhere/x.pub"], "does not exist", "concordat identity show --help"),
    ],
)
def test_wrong_usage_is_exit_status_two(
    capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str, hint: str
) -> None:
    assert main(arguments) == 2
    error, following = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ")
    assert complaint in error
    assert following == f"hint: {hint}"


def test_interruption_is_one_line_and_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fails_with(monkeypatch, KeyboardInterrupt()) == 130
    assert capsys.readouterr().err.strip() == "error: interrupted"
    kept = ConcordatError("interrupted; what was sent is kept", hint="run the same command again")
    kept.__cause__ = KeyboardInterrupt()
    assert fails_with(monkeypatch, kept) == 130
    assert "kept" in capsys.readouterr().err


def test_error_nobody_foresaw_shows_no_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = ValueError("could not convert 'anna@example.org'")
    assert fails_with(monkeypatch, secret) == 1
    shown = capsys.readouterr().err
    assert "anna" not in shown
    assert "ValueError" in shown
    monkeypatch.setenv(frame.TRACEBACK_VARIABLE, "1")
    with pytest.raises(ValueError, match="anna"):
        fails_with(monkeypatch, secret)


def test_full_disk_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert fails_with(monkeypatch, OSError(28, "No space left on device", "/data/out.csv")) == 1
    shown = capsys.readouterr().err.splitlines()
    assert shown == ["error: /data/out.csv: No space left on device", "hint: free some space and try again"]


def test_groups_come_from_installed_packages_and_not_from_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "party_client").mkdir()
    (tmp_path / "party_client/__init__.py").write_text("raise SystemExit('from the working folder')")
    program = Path(sys.executable).with_name("concordat")
    shown = subprocess.run(
        [program, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ}
    )
    assert shown.returncode == 0, shown.stderr
