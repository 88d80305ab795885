"""The image that was built is the image that runs: what its file measures, the security module reports.

And a whole joint computation against it, every role by its own commands in processes of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cbor2
import pytest

from coordinator.enclaves import status_of
from enclave_compute.boot.command_line import COMMAND_LINE
from enclave_compute.image.eif import read_image, write_eif
from enclave_compute.image.eif.sections import SectionKind
from protos.formats.binding import KeyBundle, attestation_user_data
from protos.formats.calls import Op
from protos.formats.canonical import decode_untrusted, encode
from protos.release.roots import UNSIGNED_EMULATOR_SHA256
from scenarios.acts import Acts
from scenarios.catalogue import BANKS
from scenarios.errors import CommandError
from scenarios.place import emulated
from scenarios.stage import COORDINATOR, Stage
from tests import world
from tests.emulator.machines import CALL_WITHIN_S, Booted, booted, emulator, image
from tests.emulator.overlay import contents_of, overlaid

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(900)]

FLIGHTS = 20_000


def test_the_security_module_reports_what_the_file_measures(machine: Booted) -> None:
    link = machine.link()
    assert status_of(link, deadline_s=CALL_WITHIN_S).phase == "empty"
    agreement = world.agreement(UNSIGNED_EMULATOR_SHA256)
    approvals = world.approve(agreement)
    link.call(
        Op.BIND,
        deadline_s=CALL_WITHIN_S,
        body=encode({"agreement": agreement.encode(), "approvals": approvals}),
    )
    nonce = secrets.token_bytes(32)
    answer = link.call(Op.ATTEST, deadline_s=CALL_WITHIN_S, nonce=nonce)
    evidence = decode_untrusted(answer.body, max_bytes=100_000, what="evidence")
    assert isinstance(evidence, dict)
    payload = cbor2.loads(cbor2.loads(evidence["document"])[2])
    measured = read_image(image()).measurements
    digest = agreement.digest()
    assert payload["pcrs"][0] == measured.pcr0
    assert payload["pcrs"][1] == measured.pcr1
    assert payload["pcrs"][2] == measured.pcr2
    assert payload["pcrs"][16] == hashlib.sha384(bytes(48) + digest).digest()
    assert payload["nonce"] == nonce
    keys = KeyBundle.decode_untrusted(evidence["key_bundle"])
    assert payload["user_data"] == attestation_user_data(digest, evidence["key_bundle"], keys.enclave_id)
    link.close()


def scenario(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "party_client.cli.main", "scenario", *map(str, words)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "CONCORDAT_EMULATOR": str(emulator())},
    )


def test_flights_are_joined_in_the_image_and_every_cell_is_right() -> None:
    done = scenario("flights", "--rows", str(FLIGHTS), "--image", image(), "--json")
    assert done.returncode == 0, done.stderr
    played = json.loads(done.stdout)
    assert played["matches"] is True
    assert played["unsigned_emulator"] is True
    assert played["simulated"] is False


def test_two_key_services_let_the_image_have_keys_of_owners_who_are_offline() -> None:
    done = scenario("offline-parties", "--rows", "2000", "--image", image(), "--json")
    assert done.returncode == 0, done.stderr
    played = json.loads(done.stdout)
    assert (played["matches"], played["unsigned_emulator"]) == (True, True)
    (step,) = [each for each in played["steps"] if each["title"].startswith("Both KMS let go")]
    measured = read_image(image()).measurements.pcr0.hex()
    attested = [note["what"] for note in step["notes"] if note["what"].startswith("attested PCR0")]
    assert len(attested) == 2
    assert all(note.split()[2].rstrip("…,") in measured for note in attested)


def test_attack_an_image_with_one_changed_byte_gets_no_data(tmp_path: Path) -> None:
    """The agreement names the image that was built; the operator starts one that differs in a blank."""
    source = Path(__file__).resolve().parents[2] / "enclave_compute/disclosure.py"
    changed = source.read_bytes().replace(b'"""', b'""" ', 1)
    assert len(changed) == source.stat().st_size + 1
    other = overlaid(image(), tmp_path / "other.eif", {"app/enclave_compute/disclosure.py": changed})
    agreed = emulated(image(), emulator())
    place = replace(agreed, serve=emulated(other, emulator()).serve)
    with Stage(tmp_path / "stage", BANKS.people, place=place) as stage:
        acts = Acts(BANKS, stage, 700)
        for _, act in acts.in_order()[:6]:
            list(act())
        with pytest.raises(CommandError, match=r"PCR0=.*expected those of"):
            list(acts.send_data())
        spool = stage[COORDINATOR].home / "state/spool"
        assert [path for path in spool.rglob("*") if path.is_file()] == []


def test_attack_an_image_that_lost_the_first_word_of_its_command_line_does_not_start(tmp_path: Path) -> None:
    """Every register is as agreed; what the kernel was started with is not."""
    first, _, rest = COMMAND_LINE.partition(" ")
    found = read_image(image())
    kernel, *ramdisks = (
        path
        for kind in (SectionKind.KERNEL, SectionKind.RAMDISK)
        for path in contents_of(image(), found, kind, tmp_path / "part")
    )
    kernel.write_bytes(kernel.read_bytes() + f"{first} ".encode())
    shortened = tmp_path / "shortened.eif"
    measured = write_eif(shortened, kernel=kernel, cmdline=rest, ramdisks=ramdisks, metadata=found.metadata)
    assert measured == found.measurements
    with (
        pytest.raises(AssertionError, match="started with another command line"),
        booted(shortened, tmp_path),
    ):
        pytest.fail("it takes connections")
