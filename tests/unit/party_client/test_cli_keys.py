"""`concordat keys` from one end to the other, as people type it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from protos.formats.agreement import Agreement
from tests.key_world import KEYS, TOKENS
from tests.unit.party_client.whole_stack import Command, Stack, whole_stack

MEMBERS = "email,segment\n Ann@X.org,sport\nbob@x.org,news\n,none\nann@x.org,sport\n"


def keys_alone(agreed: Agreement) -> Agreement:
    roomy = replace(TOKENS, max_uses=100, max_values=8, approved_by=())
    return replace(agreed, datasets=(), queries=(), keys=(*KEYS[:-1], roomy))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with whole_stack(tmp_path_factory.mktemp("stack"), change=keys_alone) as started:
        (started.folder / "members.csv").write_text(MEMBERS)
        (started.folder / "contract.txt").write_text("We agree.\n")
        started.agree()
        yield started


@pytest.fixture(scope="module")
def one_job(stack: Stack) -> list[str]:
    return []


@pytest.fixture
def job(stack: Stack, concordat: Command, one_job: list[str]) -> str:
    """A job for all tests of this module."""
    if not one_job:
        status, out, err = concordat("job", "start", stack.agreement_file, *stack.connection)
        assert status == 0, err
        one_job.append(out.strip())
    return one_job[0]


@pytest.fixture
def folder(stack: Stack, tmp_path: Path) -> Path:
    """Where a test writes what it makes."""
    return tmp_path


def as_who(stack: Stack, job: str, who: str) -> list[object]:
    return [
        *("--job", job, "--agreement", stack.agreement_file, "--identity", stack.key(who)),
        *stack.connection,
        *stack.trust,
    ]


def test_list_says_who_may_do_what(stack: Stack, concordat: Command) -> None:
    status, out, _ = concordat("keys", "list", "--agreement", stack.agreement_file)
    assert status == 0
    assert "rsa" not in out
    assert "tokenise" in out
    _, out, _ = concordat("keys", "list", "--agreement", stack.agreement_file, "--json")
    found = {key["id"]: key for key in json.loads(out)}
    assert list(found) == [key.id for key in KEYS]
    assert found["tokens"]["bounds"] == "at most 100 times, at most 8 identifiers in all"
    assert any("at most 8 guesses" in sentence for sentence in found["tokens"]["lets"])


def test_sign_with_consent_and_verify_outside(
    stack: Stack, job: str, concordat: Command, folder: Path
) -> None:
    uses, signature = folder / "contract.uses", folder / "contract.sig"
    signing = ("keys", "sign", "notary", "-i", "contract.txt", *as_who(stack, job, "publisher"))
    status, out, err = concordat(*signing, "--prepare", uses)
    assert (status, "hand it to whoever approves it" in out) == (0, True), err
    approvals: list[object] = []
    for who in ("publisher", "advertiser"):
        approved = folder / f"{who}.approvals"
        options = ("--agreement", stack.agreement_file, "--identity", stack.key(who), "-o", approved)
        status, _, err = concordat("keys", "approve", uses, *options)
        assert status == 1
        assert "nobody is here to be asked" in err
        seen = folder / f"{who}.seen"
        assert concordat("keys", "approve", uses, *options, "--yes", "--save-input", seen)[0] == 0
        assert seen.read_text() == "We agree.\n"
        approvals += ["--approval", approved]
    status, _, err = concordat(*signing, "--prepared", uses, *approvals[:2], "-o", signature)
    assert status == 1
    assert "not-approved" in err
    status, out, err = concordat(*signing, "--prepared", uses, *approvals, "-o", signature)
    assert status == 0, err
    assert "SIMULATED" in err

    pem, evidence = folder / "notary.pem", folder / "notary.evidence"
    status, out, err = concordat("keys", "public", "notary", "-o", pem, *as_who(stack, job, "advertiser"))
    assert status == 0, err
    key = load_pem_public_key(pem.read_bytes())
    assert isinstance(key, Ed25519PublicKey)
    key.verify(signature.read_bytes(), b"We agree.\n")
    checking = ("keys", "verify", evidence, "--agreement", stack.agreement_file, *stack.trust)
    status, out, _ = concordat(*checking, "--key", "notary", "--pem", pem)
    assert (status, "verified: made and kept by enclave" in out) == (0, True)
    assert concordat(*checking, "--key", "edwards", "--pem", pem)[0] == 1
    assert concordat(*checking, "--key", "notary")[0] == 2


def test_another_input_than_the_approved_one_is_not_sent(
    stack: Stack, job: str, concordat: Command, folder: Path
) -> None:
    uses = folder / "uses"
    signing = ("keys", "sign", "edwards", *as_who(stack, job, "publisher"))
    assert concordat(*signing, "-i", "contract.txt", "--prepare", uses)[0] == 0
    status, _, err = concordat(*signing, "-i", "members.csv", "--prepared", uses, "-o", folder / "sig")
    assert status == 1
    assert "was prepared for another key, use or input" in err
    assert not (folder / "sig").exists()


def test_encrypt_decrypt_and_code(stack: Stack, job: str, concordat: Command, folder: Path) -> None:
    who = as_who(stack, job, "publisher")
    sealed, opened, code = folder / "sealed", folder / "opened", folder / "code"
    assert concordat("keys", "encrypt", "vault", "-i", "contract.txt", "-o", sealed, *who)[0] == 0
    assert concordat("keys", "decrypt", "vault", "-i", sealed, "-o", opened, *who)[0] == 0
    assert opened.read_text() == "We agree.\n"
    status, out, _ = concordat("keys", "hmac", "codes", "-i", sealed, "-o", code, *who, "--json")
    assert (status, json.loads(out)["bytes"]) == (0, 32)
    status, _, err = concordat("keys", "decrypt", "vault", "-i", code, "-o", folder / "none", *who)
    assert status == 1
    assert "this does not decrypt with it" in err


def test_tokenise_a_column_of_a_file(stack: Stack, job: str, concordat: Command, folder: Path) -> None:
    tokens = folder / "tokens.csv"
    making = ("keys", "tokenise", "tokens", "-i", "members.csv", "--column", "email", "--keep", "segment")
    status, out, err = concordat(*making, "-o", tokens, *as_who(stack, job, "publisher"), "--json")
    assert status == 0, err
    said = json.loads(out)
    assert (said["rows"], said["identifiers"], said["uses"]) == (4, 3, 1)
    frame = pd.read_csv(tokens)
    assert list(frame.columns) == ["token", "segment"]
    assert list(frame["segment"]) == ["sport", "news", "none", "sport"]
    assert frame["token"][0] == frame["token"][3] != frame["token"][1]
    assert pd.isna(frame["token"][2])

    parquet = folder / "members.parquet"
    pd.DataFrame({"mail": ["ANN@x.org", None]}).to_parquet(parquet)
    options = ("-i", parquet, "--column", "mail", "-o", folder / "tokens.parquet")
    status, _, err = concordat("keys", "tokenise", "tokens", *options, *as_who(stack, job, "advertiser"))
    assert status == 0, err
    other = pd.read_parquet(folder / "tokens.parquet")
    assert other["token"][0] == frame["token"][0]

    many = folder / "many.csv"
    many.write_text("email\n" + "\n".join(f"{number}@x.org" for number in range(9)))
    options = ("-i", many, "--column", "email", "-o", folder / "more.csv")
    status, _, err = concordat("keys", "tokenise", "tokens", *options, *as_who(stack, job, "publisher"))
    assert status == 1
    assert "no-uses-left" in err
    assert not (folder / "more.csv").exists()


def test_budget_says_what_is_left_of_keys(stack: Stack, job: str, concordat: Command) -> None:
    status, out, err = concordat("job", "budget", *as_who(stack, job, "analyst"))
    assert status == 0, err
    assert "identifiers in all" in out
    _, out, _ = concordat("job", "budget", *as_who(stack, job, "analyst"), "--json")
    assert json.loads(out)["keys"]["edwards"]["day"]["limit"] == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "give either --output FILE, or --prepare FILE"),
        (["-o", "a", "--prepare", "b"], "give either --output FILE, or --prepare FILE"),
        (["-o", "a", "--approval", "contract.txt"], "give --prepared as well"),
        (["--prepare", "a", "--prepared", "contract.txt"], "leave --prepared and --approval out"),
    ],
)
def test_options_that_do_not_go_together(
    stack: Stack, concordat: Command, options: list[str], said: str
) -> None:
    using = ("keys", "sign", "edwards", "-i", "contract.txt", *as_who(stack, "none", "publisher"))
    status, _, err = concordat(*using, *options)
    assert (status, said in err) == (2, True)


def test_a_table_without_the_column(stack: Stack, concordat: Command, folder: Path) -> None:
    making = ("keys", "tokenise", "tokens", "-i", "members.csv", "--column", "mail")
    status, _, err = concordat(*making, "-o", folder / "t.csv", *as_who(stack, "none", "publisher"))
    assert status == 1
    assert "cannot be read as a table with the columns mail" in err
