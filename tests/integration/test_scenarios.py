"""Every scenario, played from making keys to checking the receipt, at a size that keeps the tests quick."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from scenarios.catalogue import SCENARIOS
from scenarios.role import PACKAGES

ROWS = {"flights": 30_000, "campaign": 60_000, "banks": 700, "clinic": 20_000, "offline-parties": 20_000}
SAID = {
    "flights": ["rows, every cell equal"],
    "campaign": ["rows, every cell equal"],
    "banks": ["rows, every cell equal"],
    "clinic": ["noisy figures, each as close as its noise allows"],
    "offline-parties": [
        "rows, every cell equal",
        *("an image with one changed line asks", "the agreed image asks, in debug mode"),
        "statement 'DenyReadingByOtherCode' of the key policy denies it: StringNotEqualsIgnoreCase "
        "kms:RecipientAttestation:ImageSha384 names",
        "statement 'DenyReadingForOtherAgreements' of the key policy denies it: StringNotEqualsIgnoreCase "
        "kms:RecipientAttestation:PCR16 names",
        *("a document of the agreed enclave is shown again, six minutes later", "attestation/stale"),
        *("the image of the ended release asks", "without the log: DenyReadingByOtherCode"),
    ],
}
"""What everybody of a scenario finds out, in words of its notes."""
SLOW = {"offline-parties"}
"""Those that take a minute."""
PLAY = (sys.executable, "-m", "party_client.cli.main", "scenario")


def processes_in(folder: Path) -> list[str]:
    """Command lines of processes that were started for something below `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, variables = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in command + variables and int(process.name) != os.getpid():
            found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in sorted(SCENARIOS)
    ],
)
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The folder of a scenario that has come to its end, and what it says about itself."""
    folder = tmp_path_factory.mktemp(request.param) / "kept"
    command = [*PLAY, request.param, "--rows", str(ROWS[request.param]), "--keep", str(folder), "--json"]
    ended = subprocess.run(command, cwd=PACKAGES, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return folder, json.loads(ended.stdout)


def test_what_was_released_is_what_pandas_computes(played: tuple[Path, Any]) -> None:
    _, said = played
    assert said["matches"] is True
    assert said["rows"]
    assert said["noisy"] is (said["scenario"] == "clinic")


def test_it_shows_what_its_page_says(played: tuple[Path, Any]) -> None:
    _, said = played
    notes = [note["what"] for step in said["steps"] for note in step["notes"]]
    missing = [words for words in SAID[said["scenario"]] if not any(words in note for note in notes)]
    assert not missing


def test_something_was_held_back_and_the_receipt_says_so(played: tuple[Path, Any]) -> None:
    _, said = played
    assert said["suppressed"]


def test_it_says_that_the_enclave_was_simulated(played: tuple[Path, Any]) -> None:
    _, said = played
    assert said["simulated"] is True
    job = next(step for step in said["steps"] if step["title"].startswith("An enclave starts"))
    assert "SIMULATED" in job["notes"][0]["what"]


def test_nothing_is_left_running(played: tuple[Path, Any]) -> None:
    folder, _ = played
    assert processes_in(folder) == []


def test_every_private_key_is_in_one_home_only(played: tuple[Path, Any]) -> None:
    folder, said = played
    homes: dict[bytes, set[str]] = {}
    for path in (path for path in folder.rglob("*.key*") if path.is_file()):
        homes.setdefault(path.read_bytes(), set()).add(path.relative_to(folder).parts[0])
    assert all(len(places) == 1 for places in homes.values())
    scenario = SCENARIOS[said["scenario"]]
    assert {place for places in homes.values() for place in places} == {
        *scenario.people,
        *("authority", "coordinator", "operator"),
        *(f"{owner}-kms" for owner in scenario.key_services),
    }


def test_data_in_clear_is_at_its_owners_and_nowhere_else(played: tuple[Path, Any]) -> None:
    folder, said = played
    scenario = SCENARIOS[said["scenario"]]
    for dataset, owner in scenario.owners.items():
        assert [path.parent.name for path in folder.rglob(scenario.files[dataset])] == [owner]


def test_ctrl_c_ends_everything_and_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    command = [*PLAY, "banks", "--rows", "700", "--keep", str(folder)]
    playing = subprocess.Popen(
        command, cwd=PACKAGES, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline_s = time.monotonic() + 120
    log = folder / "coordinator" / "log"
    while not (log.exists() and "serving" in log.read_text(encoding="utf-8")):
        assert playing.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    assert processes_in(folder)
    playing.send_signal(signal.SIGINT)
    _, said = playing.communicate(timeout=60)
    assert playing.returncode == 130
    assert said.strip() == "error: interrupted"
    assert processes_in(folder) == []
