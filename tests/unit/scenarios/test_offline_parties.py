"""The scenario offline-parties: that rare renovations are held back, and pandas and the agreed SQL agree."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pandas as pd
import pytest

from scenarios.catalogue import OFFLINE_PARTIES
from scenarios.errors import ScenarioError
from scenarios.offline_parties.expected import MIN_HOMES
from scenarios.offline_parties.key_services import KeyServices
from scenarios.offline_parties.refusals import NotRefusedError, require_refused
from scenarios.role import Role
from scenarios.stage import Stage
from tests.unit.scenarios.clear_sql import all_groups, answer, held_back, written


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return written(OFFLINE_PARTIES, tmp_path_factory.mktemp("offline"), rows=20_000)


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    first = written(OFFLINE_PARTIES, tmp_path / "first", rows=100)
    second = written(OFFLINE_PARTIES, tmp_path / "second", rows=100)
    assert all(first[name].read_bytes() == second[name].read_bytes() for name in first)


def test_pandas_and_sql_find_the_same_and_rare_renovations_are_held_back(files: dict[str, Path]) -> None:
    left = held_back(all_groups(OFFLINE_PARTIES, files), answer(OFFLINE_PARTIES, files))
    assert {row[0] for row in left} == {"passive house", "straw"}
    assert all(0 < row[1] < MIN_HOMES for row in left)


def test_some_meters_were_not_read(files: dict[str, Path]) -> None:
    assert pd.read_parquet(files["consumption"])["kwh"].isna().any()


def test_power_that_was_read_in_too_few_homes_is_held_back_alone(tmp_path: Path) -> None:
    few = written(OFFLINE_PARTIES, tmp_path, rows=300)
    consumption = pd.read_parquet(few["consumption"])
    windows = pd.read_csv(few["homes"]).query("renovation == 'windows'")["meter"]
    consumption.loc[consumption["meter"].isin(windows[MIN_HOMES - 1 :]), "kwh"] = None
    consumption.to_parquet(few["consumption"])
    row = answer(OFFLINE_PARTIES, few).set_index("renovation").loc["windows"]
    assert row["homes"] == len(windows) > MIN_HOMES
    assert row[["kwh", "mean_kwh"]].isna().all()


def test_the_strictest_threshold_is_the_one_in_clear() -> None:
    assert max(dataset["threshold"] for dataset in OFFLINE_PARTIES.agreement["datasets"]) == MIN_HOMES


DENIED = {
    "outcome": "AccessDeniedException",
    "message": "because explicit deny [SIMULATED KMS, AWS does not say: statement 'NoOtherCode' of the key "
    f"policy denies it: names '{'ab' * 48}', got nothing]",
}


def test_a_refusal_is_told_in_the_key_services_own_words() -> None:
    said = require_refused(DENIED, outcome="AccessDeniedException", because="NoOtherCode", deed="asks")
    assert (
        said == "statement 'NoOtherCode' of the key policy denies it: names 'abababababababab…', got nothing"
    )


@pytest.mark.parametrize(
    ("record", "because"),
    [
        (DENIED, "NoOtherAgreement"),
        ({**DENIED, "outcome": "NotFoundException"}, "NoOtherCode"),
        ({"outcome": "ok"}, ""),
        ({}, ""),
    ],
    ids=["another reason", "another refusal", "not refused", "nobody asked"],
)
def test_a_refusal_for_another_reason_does_not_count(record: dict[str, str], because: str) -> None:
    with pytest.raises(NotRefusedError, match=r"^asks: got .*, expected AccessDeniedException"):
        require_refused(record, outcome="AccessDeniedException", because=because, deed="asks")


def test_the_agreement_gets_the_ports_that_the_key_services_have(tmp_path: Path) -> None:
    with Stage(tmp_path, OFFLINE_PARTIES.people) as stage:
        services = KeyServices(OFFLINE_PARTIES, stage)
        for number, service in enumerate(services, 1):
            service.endpoint = f"https://127.0.0.1:{number}"
        text = services.filled_in(OFFLINE_PARTIES.agreement_file.read_text(encoding="utf-8"))
    endpoints = [dataset["kms"]["endpoint"] for dataset in tomllib.loads(text)["datasets"]]
    assert endpoints == ["localhost:1", "localhost:2"]


def test_a_key_service_that_does_not_start_is_reported(tmp_path: Path) -> None:
    with Stage(tmp_path, OFFLINE_PARTIES.people) as stage:
        service = KeyServices(OFFLINE_PARTIES, stage).by_owner["utility"]
        with pytest.raises(ScenarioError, match="the KMS of utility did not start"):
            service.start("--attestation-root", tmp_path / "nowhere.pem")


def test_who_is_offline_does_nothing(tmp_path: Path) -> None:
    role = Role("utility", tmp_path / "utility")
    role.go_offline()
    with pytest.raises(ScenarioError, match="utility is offline, and was to run `concordat identity new"):
        role.run("identity", "new", "utility")
    role.come_back()
    assert role.ask("identity", "new", "utility")["id"] == "utility"


def test_two_owners_have_two_key_services() -> None:
    services = OFFLINE_PARTIES.key_services
    assert list(services) == OFFLINE_PARTIES.parties
    assert len({service["account"] for service in services.values()}) == 2
