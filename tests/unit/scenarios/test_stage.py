"""Roles have homes and processes of their own; the stage ends what was started on it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from protos.release.roots import UNSIGNED_EMULATOR_SHA256
from scenarios.acts import RESULT_FILE, Acts
from scenarios.catalogue import BANKS
from scenarios.errors import CommandError, MismatchError, ScenarioError
from scenarios.files import write_table
from scenarios.place import SIMULATED
from scenarios.role import Role
from scenarios.stage import COORDINATOR, Stage


def test_a_command_runs_in_the_home_of_its_role(tmp_path: Path) -> None:
    role = Role("airline", tmp_path / "airline")
    made = role.ask("identity", "new", "airline")
    assert made["id"] == "airline"
    assert {path.name for path in role.home.iterdir()} == {"airline.key", "airline.pub"}


def test_a_refused_command_gives_its_own_words(tmp_path: Path) -> None:
    role = Role("airline", tmp_path / "airline")
    with pytest.raises(
        CommandError, match=r"airline: `concordat identity new Airline` was refused: .*lower-case"
    ):
        role.run("identity", "new", "Airline")


def test_a_role_inherits_nothing_from_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCORDAT_COORDINATOR", "elsewhere:1")
    role = Role("airline", tmp_path / "airline")
    with pytest.raises(CommandError, match="--coordinator"):
        role.run("agreement", "list", "--plaintext")


def test_a_coordinator_that_does_not_start_is_reported(tmp_path: Path) -> None:
    with (
        Stage(tmp_path, {"airline": "Airline"}) as stage,
        pytest.raises(ScenarioError, match="the coordinator did not start"),
    ):
        stage.start_coordinator()  # there are no certificates yet


def test_leaving_the_stage_ends_an_enclave_that_the_coordinator_left_behind(tmp_path: Path) -> None:
    with Stage(tmp_path, {"airline": "Airline"}) as stage:
        sockets = Path(stage[COORDINATOR].settings["TMPDIR"]) / "concordat-left"
        sockets.mkdir()
        waiting = "import time; print('here', flush=True); time.sleep(600)"
        left = subprocess.Popen(
            [sys.executable, "-c", waiting, str(sockets / "enclave.sock")],
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert left.stdout is not None
        assert left.stdout.readline() == b"here\n"
        (sockets / "machine.pid").write_text(str(left.pid), encoding="utf-8")
        stranger = Path(stage[COORDINATOR].settings["TMPDIR"]) / "concordat-reused"
        stranger.mkdir()
        (stranger / "machine.pid").write_text(str(os.getpid()), encoding="utf-8")
        assert stage.machines() == [left.pid]
    assert left.wait(timeout=10) == -signal.SIGTERM
    left.stdout.close()
    assert not sockets.exists()


def test_everybody_is_told_the_same_about_what_vouches_for_enclaves(tmp_path: Path) -> None:
    with Stage(tmp_path, BANKS.people) as stage:
        assert stage.trust == ("--root", str(tmp_path / "table" / "root.pem"))
    with Stage(tmp_path, BANKS.people, place=replace(SIMULATED, root=None)) as stage:
        acts = Acts(BANKS, stage, None)
        for act in (acts.make_identities, acts.measure):
            list(act())
        with pytest.raises(CommandError, match="expected the placeholder of the UNSIGNED EMULATOR"):
            list(acts.sign())
        release = stage.table / "release.toml"
        root = re.compile(r'root_sha256 = "[0-9a-f]{64}"')
        unsigned = f'root_sha256 = "{UNSIGNED_EMULATOR_SHA256.hex()}"'
        release.write_text(root.sub(unsigned, release.read_text(encoding="utf-8")), encoding="utf-8")
        list(acts.sign())
        assert len(list(stage.table.glob("*.approval"))) == len(BANKS.parties)


@pytest.mark.parametrize("as_answered", [True, False], ids=["as-in-clear", "one-victim-more"])
def test_a_result_that_is_not_the_one_in_clear_is_refused(tmp_path: Path, as_answered: bool) -> None:
    scenario = replace(BANKS, rows=700)
    with Stage(tmp_path, scenario.people) as stage:
        acts = Acts(scenario, stage, None)
        list(acts.write_data())
        released = scenario.answer(acts.files, {})
        if not as_answered:
            released["victims"] += 1
        for receiver in scenario.receivers:
            write_table(pa.Table.from_pandas(released), stage[receiver].home / RESULT_FILE)
        if as_answered:
            assert [note.who for note in acts.compare()] == ["alder", "birch", "cedar"]
        else:
            with pytest.raises(MismatchError, match="victims"):
                list(acts.compare())
