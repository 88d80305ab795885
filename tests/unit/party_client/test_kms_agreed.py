"""What the agreement says of a party's KMS is what its key is planned and checked for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from party_client.agreements.agreement_file import save_agreement
from party_client.kms import KeyTerms, Place, check_key, key_terms, plan
from party_client.kms.agreed import agreed_services, agreed_whereabouts, aws_endpoint, is_aws
from party_client.kms.authorities import amazon_authorities
from party_client.kms.errors import KeyServiceError, KmsTermsError
from party_client.kms.evaluation import KeyAccess, decide
from party_client.kms.policy import read_policy_untrusted
from party_client.kms.request import Request
from party_client.kms.terms import iso_time
from protos.formats.agreement import Agreement
from protos.formats.kms import STATE_SUBJECT, KeyService, StateTerms
from protos.release.history import agreed_releases
from tests.unit.party_client.kms_key import (
    ACCOUNT,
    ADMINISTRATOR,
    FIRST,
    KEY_ARN,
    NOW,
    PARENT,
    PLACE,
    ROLE,
    SEALER,
    agreement,
    answers,
    snapshot,
    statement,
)
from tests.unit.party_client.whole_stack import Command

HERE = KeyService(
    ACCOUNT, "eu-central-1", "concordat-enclave", aws_endpoint("eu-central-1"), amazon_authorities()
)
ELSEWHERE = replace(HERE, region="us-east-1", endpoint=aws_endpoint("us-east-1"))


def agreed(folder: Path, **kms: KeyService) -> Agreement:
    """The airline's flights, and its crews beside them, each where `kms` says; `state` with it."""
    base = agreement(folder)
    flights, weather = base.datasets
    crews = replace(flights, id="crews", kms=kms.get("crews"))
    state = StateTerms("airline", kms["state"], ("airline",)) if "state" in kms else None
    datasets = (replace(flights, kms=kms.get("flights")), crews, weather)
    return replace(base, datasets=datasets, state=state, valid_until_s=4_000_000_000)


def terms(made: Agreement, place: Place = PLACE) -> KeyTerms:
    return key_terms(agreed_releases(made), party="airline", place=place, now=NOW)


def whereabouts(made: Agreement, party: str = "airline", **said: str) -> tuple[str, str, str]:
    wanted: dict[str, Any] = {"account": None, "region": None, "role": None} | said
    return agreed_whereabouts(made, party, **wanted)


def test_nothing_has_to_be_said_twice(tmp_path: Path) -> None:
    made = agreed(tmp_path, flights=HERE)
    assert agreed_services(made, "airline") == (HERE,)
    for said in ({}, {"account": ACCOUNT}, {"region": "eu-central-1", "role": "concordat-enclave"}):
        assert whereabouts(made, **said) == (ACCOUNT, "eu-central-1", "concordat-enclave")


@pytest.mark.parametrize(
    "said", [{"account": "444455556666"}, {"region": "us-east-1"}, {"role": "another"}], ids=str
)
def test_a_contradiction_is_an_error(tmp_path: Path, said: dict[str, str]) -> None:
    with pytest.raises(KeyServiceError, match=rf"expected what .* says of airline: {ACCOUNT} eu-central-1"):
        whereabouts(agreed(tmp_path, flights=HERE), **said)


def test_of_several_one_is_chosen(tmp_path: Path) -> None:
    made = agreed(tmp_path, flights=HERE, crews=ELSEWHERE)
    with pytest.raises(KeyServiceError, match="several"):
        whereabouts(made)
    assert whereabouts(made, region="us-east-1")[1] == "us-east-1"
    assert terms(made).datasets == ("flights",)
    assert terms(made, replace(PLACE, region="us-east-1")).datasets == ("crews",)


def test_where_nothing_was_agreed_all_of_it_is_said(tmp_path: Path) -> None:
    made = agreed(tmp_path)
    with pytest.raises(KmsTermsError, match="names no KMS of airline's"):
        whereabouts(made, account=ACCOUNT, region="eu-central-1")
    assert whereabouts(made, account=ACCOUNT, region="eu-central-1", role="r")[2] == "r"
    assert terms(made).datasets == ("flights", "crews")


def test_only_what_may_be_sealed_under_the_key(tmp_path: Path) -> None:
    assert terms(agreed(tmp_path, flights=HERE)).datasets == ("flights",)
    with pytest.raises(KmsTermsError, match=r"owns no dataset .* that could be sealed under a key there"):
        terms(agreed(tmp_path, flights=HERE), replace(PLACE, region="us-east-1"))


def contexts(made: Any, sid: str) -> Any:
    condition = statement(made.key_policy, sid)["Condition"]
    return condition["StringEquals"]["kms:EncryptionContext:dataset"]


def test_state_is_for_enclaves_and_not_for_sealers(tmp_path: Path) -> None:
    of = terms(agreed(tmp_path, flights=HERE, state=HERE))
    made = plan(of)
    assert contexts(made, "Release1") == ["flights", STATE_SUBJECT]
    assert contexts(made, "Sealing") == "flights"
    access = KeyAccess(
        KEY_ARN, read_policy_untrusted(made.key_policy, what="key policy", with_principals=True)
    )
    registers = {
        "PCR0": FIRST.pcr0.hex(),
        "PCR1": FIRST.pcr1.hex(),
        "PCR2": FIRST.pcr2.hex(),
        "PCR16": of.agreement_register,
    }
    for action in ("kms:Decrypt", "kms:GenerateDataKey"):
        request = Request(
            ROLE,
            action,
            encryption_context=of.encryption_context(STATE_SUBJECT),
            registers=registers,
            values={"aws:currenttime": (iso_time(int(NOW.timestamp())),)},
        )
        assert decide(access, request).is_allowed
        assert not decide(access, replace(request, principal=SEALER)).is_allowed
        assert not decide(access, replace(request, principal=SEALER, registers=None)).is_allowed
        assert not decide(access, replace(request, registers=None)).is_allowed


def test_state_elsewhere_is_another_keys(tmp_path: Path) -> None:
    made = agreed(tmp_path, flights=HERE, state=ELSEWHERE)
    assert terms(made).subjects == ("flights",)
    only_state = replace(PLACE, region="us-east-1", sealers=())
    assert terms(made, only_state).subjects == (STATE_SUBJECT,)
    with pytest.raises(KmsTermsError, match="only enclaves seal under this key"):
        terms(made, replace(PLACE, region="us-east-1"))


def test_a_key_for_state_needs_its_alias(tmp_path: Path) -> None:
    of = terms(agreed(tmp_path, flights=HERE, state=HERE))
    value = answers(of)
    assert not check_key(of, snapshot(value)).findings
    value["ListAliases"] = {"Aliases": []}
    assert [one.code for one in check_key(of, snapshot(value)).findings] == ["alias-missing"]
    without = terms(agreed(tmp_path, flights=HERE))
    value = answers(without) | {"ListAliases": {"Aliases": []}}
    assert not check_key(without, snapshot(value)).findings


def test_a_key_that_refuses_state_is_found(tmp_path: Path) -> None:
    """Set up before the agreement had state, for instance."""
    with_state = agreed(tmp_path, flights=HERE, state=HERE)
    of = terms(with_state)
    value = answers(of)
    policy = json.loads(value["GetKeyPolicy"]["Policy"])
    one = statement(policy, "Release1")["Condition"]["StringEquals"]
    one["kms:EncryptionContext:dataset"] = "flights"
    value["GetKeyPolicy"]["Policy"] = json.dumps(policy)
    assert [one.code for one in check_key(of, snapshot(value)).findings] == ["release-refused"]


def test_what_is_aws(tmp_path: Path) -> None:
    assert is_aws(HERE)
    assert is_aws(replace(HERE, authorities=amazon_authorities()[:1]))
    assert not is_aws(replace(HERE, endpoint="localhost:443"))
    assert not is_aws(replace(HERE, authorities=(*amazon_authorities(), b"and another")))


@pytest.fixture
def command_folder(tmp_path: Path) -> Path:
    return tmp_path


def test_the_command_takes_it_from_the_agreement(concordat: Command, tmp_path: Path) -> None:
    save_agreement(tmp_path / "flights.agreement", agreed(tmp_path, flights=HERE, state=HERE))
    people = ("--party", "airline", "--parent", PARENT, "--administrator", ADMINISTRATOR)
    status, out, err = concordat("kms", "plan", "flights.agreement", *people)
    assert status == 0, err
    assert f"role       {ROLE}" in out
    assert "state      what enclaves seal of their own" in out
    status, out, err = concordat("kms", "plan", "flights.agreement", *people, "--account", "444455556666")
    assert (status, out) == (1, "")
    assert "got 444455556666, expected what flight_delays says of airline" in err
    assert "leave out --account" in err
    status, out, _ = concordat("kms", "plan", "flights.agreement", *people, "--format", "json")
    subjects = [context["dataset"] for context in json.loads(out)["encryption_contexts"]]
    assert subjects == ["flights", "#state"]
