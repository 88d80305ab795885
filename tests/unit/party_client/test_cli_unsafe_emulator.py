"""`--unsafe-emulator` from one end to the other: what it refuses, that it warns, and that everything says it.

The enclave is real code under a security module that writes documents as QEMU's emulator does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from party_client.agreements import sign
from party_client.attestation import EmulatorUnsafe, TrustedRoots
from party_client.attestation.errors import EmulatorMixedError, EmulatorNotAcceptedError
from party_client.cli.main import main
from party_client.cli.trust import UNSAFE_EMULATOR
from party_client.client import Client, utc_now
from party_client.receipts import RootFrom, verify_receipt
from protos.formats.agreement import Agreement
from protos.release.roots import UNSIGNED_EMULATOR_SHA256
from scenarios.machine.documents import DocumentSigner
from tests.conformance.nitro.emulated import emulated_document
from tests.unit.party_client.whole_stack import Command, Stack, whole_stack
from tests.world import PUBLISHER

VISITS = "email,segment\nann@x.org,sport\nbob@x.org,sport\ncem@x.org,sport\ndee@x.org,news\neve@x.org,news\n"
PURCHASES = "email,amount\n Ann@X.org,10\nbob@x.org,20\nbob@x.org,30\ndee@x.org,40\nzoe@x.org,50\n"
OWNERS = {"visits": "publisher", "purchases": "advertiser"}
UNSAFE = "--unsafe-emulator"


class UnsignedByQemu(DocumentSigner):
    """Says what it is asked to say, as the emulator's security module does, and signs nothing."""

    def sign(self, pcrs: dict[int, bytes], **said: bytes | None) -> bytes:
        return emulated_document(utc_now(), module_id=str(self.module_id), pcrs=pcrs, **said)


def emulated(agreed: Agreement) -> Agreement:
    (release,) = agreed.releases
    return replace(agreed, releases=(replace(release, root_sha256=UNSIGNED_EMULATOR_SHA256),))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    with whole_stack(folder, change=emulated, signer_class=UnsignedByQemu) as started:
        (started.folder / "visits.csv").write_text(VISITS)
        (started.folder / "purchases.csv").write_text(PURCHASES)
        with Client.connect(started.address, identity=PUBLISHER) as client:
            client.put_agreement(started.agreement)
        yield started


def answered(result: tuple[int, str, str]) -> Any:
    """The JSON of a command that succeeded and warned once."""
    status, out, err = result
    assert status == 0, err
    assert err.count(UNSAFE_EMULATOR) == 1
    facts = json.loads(out)
    assert facts["unsigned_emulator"] is True
    return facts


def about(stack: Stack, job: str, who: str) -> list[object]:
    """Options of a command about `job`, without what it trusts."""
    identity = ("--identity", stack.key(who))
    return ["--job", job, "--agreement", stack.agreement_file, *identity, *stack.connection]


@pytest.fixture(scope="module")
def job(stack: Stack) -> str:
    """A job whose agreement both parties have signed, each accepting the emulator by name."""
    for party in ("publisher", "advertiser"):
        connected = ("--coordinator", stack.address, "--plaintext")
        approval = stack.folder / f"{party}.approval"
        typed(stack, "agreement", "sign", "--identity", stack.key(party), UNSAFE, "--yes", "-o", approval)
        typed(stack, "agreement", "approve", "--approval", approval, *connected)
    with Client.connect(stack.address, identity=PUBLISHER) as client:
        return client.start_job(stack.agreement)


def typed(stack: Stack, group: str, name: str, *options: object) -> None:
    assert main([group, name, str(stack.agreement_file), *map(str, options)]) == 0


def test_a_whole_computation_says_everywhere_that_nothing_was_signed(
    stack: Stack, concordat: Command, job: str
) -> None:
    verifying = ("job", "verify", job, "--agreement", stack.agreement_file, *stack.connection)
    verified = answered(concordat(*verifying, UNSAFE, "--json"))
    assert verified["warning"].startswith("UNSIGNED EMULATOR: no signature was checked")
    assert verified["root"] == {
        "name": "UNSIGNED EMULATOR",
        "sha256": UNSIGNED_EMULATOR_SHA256.hex(),
        "is_aws": False,
    }
    status, out, err = concordat(*verifying, UNSAFE)
    assert (status, err) == (0, f"{UNSAFE_EMULATOR}\n")
    assert out.startswith("UNSIGNED EMULATOR, by its own unsigned word: fresh")
    assert "genuine" not in out

    for dataset, owner in OWNERS.items():
        sending = ("dataset", "send", f"{dataset}.csv", "--dataset", dataset, "--json", UNSAFE)
        sent = answered(concordat(*sending, *about(stack, job, owner)))
        assert sent["warning"].startswith("UNSIGNED EMULATOR")
    asking = ("job", "run", "totals", "--param", "least=0", "--json", UNSAFE)
    run = answered(concordat(*asking, *about(stack, job, "analyst")))["run"]
    assert answered(concordat("job", "budget", "--json", UNSAFE, *about(stack, job, "analyst")))

    status, out, err = concordat("result", "get", run, UNSAFE, *about(stack, job, "analyst"))
    assert status == 0, err
    assert "sport" in out
    assert err.count(UNSAFE_EMULATOR) == 1
    assert err.count("UNSIGNED EMULATOR: no signature was checked") == 1
    getting = ("result", "get", run, UNSAFE, "--json", "--receipt", "run.receipt")
    assert answered(concordat(*getting, *about(stack, job, "analyst")))["rows"] == 1

    status, out, err = concordat("receipt", "verify", "run.receipt", UNSAFE)
    assert (status, err.count(UNSAFE_EMULATOR)) == (0, 1)
    assert "under no root: the UNSIGNED EMULATOR signs nothing" in out
    assert "verified, but for step 5, which nobody signed" in out
    assert out.splitlines()[-1].startswith("UNSIGNED EMULATOR: ")
    facts = answered(concordat("receipt", "verify", "run.receipt", UNSAFE, "--json"))
    assert facts["root"]["from_agreement"] is False

    receipt = (stack.folder / "run.receipt").read_bytes()
    assert verify_receipt(receipt, roots=EmulatorUnsafe()).root_from is RootFrom.NOBODY
    for believe_agreement in (True, False):
        with pytest.raises(EmulatorNotAcceptedError):
            verify_receipt(receipt, roots=TrustedRoots.aws(), believe_agreement=believe_agreement)


def test_without_the_option_every_command_refuses(stack: Stack, concordat: Command, job: str) -> None:
    for command in (
        ("job", "verify", job, "--agreement", stack.agreement_file, *stack.connection),
        ("dataset", "send", "visits.csv", "--dataset", "visits", *about(stack, job, "publisher")),
        ("job", "run", "totals", "--param", "least=0", *about(stack, job, "analyst")),
        ("job", "budget", *about(stack, job, "analyst")),
    ):
        for trust in ([], stack.trust):
            status, out, err = concordat(*command, *trust)
            assert (status, out) == (1, "")
            assert "is of the UNSIGNED EMULATOR: nobody vouches for what it runs" in err
            assert "never send real data" in err


def test_it_excludes_every_root_in_every_command(
    stack: Stack, concordat: Command, job: str, aws_root: Path
) -> None:
    for root in (stack.root_file, aws_root):
        for command in (
            ("job", "verify", job, "--agreement", stack.agreement_file, *stack.connection),
            ("dataset", "send", "visits.csv", "--dataset", "visits", *about(stack, job, "publisher")),
            ("job", "run", "totals", *about(stack, job, "analyst")),
            ("job", "budget", *about(stack, job, "analyst")),
            ("result", "get", "00" * 16, *about(stack, job, "analyst")),
            ("receipt", "verify", stack.agreement_file),
            ("agreement", "check", stack.agreement_file),
            ("agreement", "sign", stack.agreement_file, "--identity", stack.key("publisher"), "--yes"),
            ("attestation", "verify", stack.agreement_file, "--any-measurement"),
        ):
            status, out, err = concordat(*command, UNSAFE, "--root", root)
            assert (status, out) == (2, "")
            assert "believes no root of trust" in " ".join(err.split())


@pytest.fixture
def aws_root(tmp_path: Path) -> Path:
    """AWS's own root, as somebody might add it by hand."""
    (root,) = TrustedRoots.aws()
    file = tmp_path / "aws.pem"
    file.write_bytes(root.certificate.public_bytes(Encoding.PEM))
    return file


def test_a_party_that_did_not_accept_the_emulator_seals_nothing_by_way_of_the_library(
    stack: Stack, job: str
) -> None:
    with (
        Client.connect(stack.address, identity=PUBLISHER) as client,
        pytest.raises(EmulatorNotAcceptedError),
    ):
        client.verify(job, stack.agreement)
    with Client.connect(stack.address, identity=PUBLISHER, roots=EmulatorUnsafe()) as client:
        assert client.verify(job, stack.agreement).attestation.is_unsigned_emulator
        other = replace(stack.agreement, releases=mixed(stack.agreement).releases[1:])
        with pytest.raises(EmulatorMixedError):
            client.verify(job, other)


def test_only_who_accepts_it_signs_for_it(stack: Stack, concordat: Command, tmp_path: Path) -> None:
    signing = ("agreement", "sign", stack.agreement_file, "--identity", stack.key("publisher"), "--yes")
    out_file = ("-o", tmp_path / "p.approval")
    for trust in ([], stack.trust):
        status, _, err = concordat(*signing, *out_file, *trust)
        assert status == 1
        assert "UNSIGNED EMULATOR" in err
        assert not (tmp_path / "p.approval").exists()
    signed = answered(concordat(*signing, *out_file, UNSAFE, "--json"))
    (warning,) = signed["warnings"]
    assert warning.startswith("UNSIGNED EMULATOR: release test: QEMU's emulator, which signs nothing")
    with pytest.raises(EmulatorNotAcceptedError):
        sign(stack.agreement, PUBLISHER, now=utc_now())
    with pytest.raises(EmulatorNotAcceptedError):
        sign(stack.agreement, PUBLISHER, now=utc_now(), roots=TrustedRoots.aws())


def test_the_boards_approve_asks_the_same_of_a_client(stack: Stack) -> None:
    fresh = replace(stack.agreement, title="Signed by nobody yet")
    for roots, refusal in ((None, EmulatorNotAcceptedError), (TrustedRoots.aws(), EmulatorNotAcceptedError)):
        with Client.connect(stack.address, identity=PUBLISHER, roots=roots) as client:
            client.put_agreement(fresh)
            with pytest.raises(refusal):
                client.approve(fresh)
    with Client.connect(stack.address, identity=PUBLISHER, roots=EmulatorUnsafe()) as client:
        assert client.approve(fresh)


def mixed(agreed: Agreement) -> Agreement:
    """The emulator beside AWS: whatever was meant, the emulator would be enough."""
    (release,) = agreed.releases
    (aws,) = TrustedRoots.aws()
    return replace(agreed, releases=(release, replace(release, name="real", root_sha256=aws.sha256)))


Save = Callable[[Agreement], Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def write(agreed: Agreement) -> Path:
        (tmp_path / "other.agreement").write_bytes(agreed.encode())
        return tmp_path / "other.agreement"

    return write


def test_an_agreement_for_both_is_shown_and_never_signed(
    stack: Stack, concordat: Command, save: Save
) -> None:
    file = save(mixed(stack.agreement))
    for trust in ([], [UNSAFE], stack.trust):
        status, out, err = concordat("agreement", "check", file, *trust)
        assert status == 1
        assert "UNSIGNED EMULATOR beside other releases" in out
        assert "release 'test' is of the UNSIGNED EMULATOR, release 'real' is not" in err
        signing = ("agreement", "sign", file, "--identity", stack.key("publisher"), "--yes")
        assert concordat(*signing, *trust)[0] == 1
    assert list(file.parent.glob("*.approval")) == []
    status, out, _ = concordat("agreement", "show", file)
    assert (status, out.count("UNSIGNED EMULATOR")) == (0, 1)


def test_a_real_agreement_is_refused_with_the_option(stack: Stack, concordat: Command, save: Save) -> None:
    real = replace(stack.agreement, releases=mixed(stack.agreement).releases[1:])
    file = save(real)
    assert concordat("agreement", "check", file)[0] == 0
    status, out, err = concordat("agreement", "check", file, UNSAFE)
    assert status == 1
    assert "AWS: AWS Nitro Enclaves" in out
    assert "expected the placeholder of the UNSIGNED EMULATOR" in err
    signing = ("agreement", "sign", file, "--identity", stack.key("publisher"), "--yes", UNSAFE)
    assert concordat(*signing)[0] == 1


def test_whoever_reads_the_agreement_sees_it(stack: Stack, concordat: Command, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    status, out, err = concordat("agreement", "check", stack.agreement_file, "--html", page)
    assert status == 1
    assert "UNSIGNED EMULATOR: nobody vouches" in err.replace("is of the ", "")
    assert "UNSIGNED EMULATOR: QEMU's emulator, which signs nothing: whoever runs it can read" in out
    assert "Never send real data under this agreement." in out
    assert page.read_text().count("UNSIGNED EMULATOR") >= 3
    assert '<p class="banner"><strong>UNSIGNED EMULATOR.</strong>' in page.read_text()
    facts = answered(concordat("agreement", "check", stack.agreement_file, "--json", UNSAFE))
    assert [release["kind"] for release in facts["releases"]] == ["UNSIGNED EMULATOR"]
    assert facts["warnings"][0].startswith("UNSIGNED EMULATOR: ")

    status, out, err = concordat("agreement", "show", stack.agreement_file)
    assert (status, err) == (0, "")
    assert "UNSIGNED EMULATOR: QEMU's emulator" in out
    shown = json.loads(concordat("agreement", "show", stack.agreement_file, "--json")[1])
    assert shown["unsigned_emulator"] is True


def test_a_change_to_the_emulator_stands_out_as_looser(stack: Stack, concordat: Command, save: Save) -> None:
    (release,) = stack.agreement.releases
    (aws,) = TrustedRoots.aws()
    real = save(replace(stack.agreement, releases=(replace(release, root_sha256=aws.sha256),)))
    for before, after, effect in (
        (real, stack.agreement_file, "looser"),
        (stack.agreement_file, real, "stricter"),
    ):
        (change,) = json.loads(concordat("agreement", "diff", before, after, "--json")[1])["changes"]
        assert change["effect"] == effect
        assert "UNSIGNED EMULATOR" in change["words"]


def test_one_document_is_verified_and_explained_by_the_same_words(
    stack: Stack, concordat: Command, tmp_path: Path
) -> None:
    file = tmp_path / "document.cbor"
    file.write_bytes(emulated_document(utc_now()))
    verifying = ("attestation", "verify", file, "--any-measurement")
    assert concordat(*verifying)[0] == 1
    assert concordat(*verifying, *stack.trust)[0] == 1
    status, out, err = concordat(*verifying, UNSAFE)
    assert (status, err) == (0, f"{UNSAFE_EMULATOR}\n")
    assert out.startswith("UNSIGNED EMULATOR: verified, but for certificates and signature")
    assert "anybody could have written this document" in out
    facts = answered(concordat(*verifying, UNSAFE, "--json"))
    assert facts["warnings"][0].startswith("UNSIGNED EMULATOR: ")
    status, out, _ = concordat("attestation", "explain", file)
    assert (status, "UNSIGNED" in out) == (0, True)
