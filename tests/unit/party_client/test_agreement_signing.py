"""Signing: who may, when, and who has; and what the clock has to do with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from party_client.agreements import (
    approval_status,
    compile_toml,
    load_agreement,
    load_approval,
    require_digest_untrusted,
    require_not_expired,
    require_valid,
    sign,
    validity,
)
from party_client.agreements.agreement_file import save_agreement
from party_client.agreements.errors import (
    AgreementFileError,
    ExpiredError,
    NotAPartyError,
    NotYetValidError,
    SplitViewError,
)
from party_client.files import FileAccessError
from party_client.identity import Identity
from protos.formats.agreement import Agreement
from protos.formats.approvals import verify_approval_untrusted, verify_approvals_untrusted
from protos.formats.errors import FormatError, SignatureError
from tests.unit.party_client.written_agreement import AIRLINE, ANALYST, WEATHER, write

BEGINS = datetime(2026, 1, 1, tzinfo=UTC)
ENDS = datetime(2027, 1, 1, tzinfo=UTC)
MIDDLE = datetime(2026, 7, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def agreement(tmp_path_factory: pytest.TempPathFactory) -> Agreement:
    return compile_toml(write(tmp_path_factory.mktemp("agreement")))


def test_all_parties_sign_and_it_is_in_force(agreement: Agreement) -> None:
    approvals = [sign(agreement, who, now=MIDDLE) for who in (AIRLINE, WEATHER)]
    assert verify_approvals_untrusted(agreement, approvals).digest == agreement.digest()
    status = approval_status(agreement, approvals)
    assert status.in_force
    assert [approval.party for approval in status.signed] == ["airline", "weather_service"]
    assert status.signed[0].signed_at_s == int(MIDDLE.timestamp())


def test_status_names_the_missing_and_counts_nobody_twice(agreement: Agreement) -> None:
    twice = [sign(agreement, AIRLINE, now=MIDDLE), sign(agreement, AIRLINE, now=MIDDLE + DAY)]
    status = approval_status(agreement, twice)
    assert not status.in_force
    assert status.missing == ("weather_service",)
    assert len(status.signed) == 1


def test_status_refuses_a_strangers_and_another_texts_approval(agreement: Agreement) -> None:
    other = replace(agreement, title="Another title")
    with pytest.raises(SignatureError, match="signed agreement"):
        approval_status(agreement, [sign(other, AIRLINE, now=MIDDLE)])
    with pytest.raises(FormatError):
        approval_status(agreement, [b"no approval"])


def test_only_a_party_with_these_very_keys_signs(agreement: Agreement) -> None:
    with pytest.raises(NotAPartyError, match="'analyst' is not a party"):
        sign(agreement, ANALYST, now=MIDDLE)
    impostor = Identity.generate("airline", AIRLINE.name)
    with pytest.raises(NotAPartyError, match=impostor.public.fingerprint()) as caught:
        sign(agreement, impostor, now=MIDDLE)
    assert AIRLINE.public.fingerprint() in caught.value.message


def test_signing_in_advance_is_fine_and_afterwards_is_not(agreement: Agreement) -> None:
    approval = sign(agreement, AIRLINE, now=BEGINS - 30 * DAY)
    assert verify_approval_untrusted(agreement, approval).party == "airline"
    with pytest.raises(ExpiredError, match="2027-01-01 00:00:00 UTC"):
        sign(agreement, AIRLINE, now=ENDS)


@pytest.mark.parametrize(
    ("now", "state"),
    [
        (BEGINS - timedelta(seconds=1), "not-yet-valid"),
        (BEGINS, "valid"),
        (ENDS - timedelta(microseconds=1), "valid"),
        (ENDS, "expired"),
    ],
)
def test_validity_includes_the_beginning_and_not_the_end(
    agreement: Agreement, now: datetime, state: str
) -> None:
    assert validity(agreement, now=now).state == state
    assert validity(agreement, now=now.astimezone(timezone(timedelta(hours=9)))).state == state


def test_clock_that_is_a_day_off_is_suspected(agreement: Agreement) -> None:
    with pytest.raises(NotYetValidError) as early:
        require_valid(agreement, now=BEGINS - DAY)
    assert "this computer's clock says 2025-12-31 00:00:00 UTC" in early.value.message
    assert (early.value.hint or "").startswith("compare this computer's clock with another one first")
    with pytest.raises(ExpiredError) as late:
        require_valid(agreement, now=ENDS + DAY)
    assert "this computer's clock says 2027-01-02 00:00:00 UTC" in late.value.message
    assert (late.value.hint or "").startswith("compare this computer's clock with another one first")
    assert validity(agreement, now=ENDS - DAY).clock_is_suspect
    assert not validity(agreement, now=MIDDLE).clock_is_suspect


def test_date_that_is_far_off_is_not_blamed_on_the_clock_first(agreement: Agreement) -> None:
    with pytest.raises(NotYetValidError) as caught:
        require_valid(agreement, now=BEGINS - 100 * DAY)
    assert (caught.value.hint or "").startswith("wait")
    with pytest.raises(ExpiredError) as expired:
        require_not_expired(agreement, now=ENDS + 100 * DAY)
    assert (expired.value.hint or "").startswith("agree anew")


def test_time_beyond_the_calendar_is_an_error_of_ours(agreement: Agreement) -> None:
    with pytest.raises(FormatError, match="9999"):
        validity(replace(agreement, valid_until_s=2**62), now=MIDDLE)


def test_agreement_file_round_trip(agreement: Agreement, tmp_path: Path) -> None:
    path = tmp_path / "a.agreement"
    save_agreement(path, agreement)
    assert load_agreement(path) == agreement
    save_agreement(path, replace(agreement, title="Another title"))
    assert load_agreement(path).title == "Another title"
    assert [item.name for item in tmp_path.iterdir()] == ["a.agreement"]


def test_what_is_no_agreement_says_so(agreement: Agreement, tmp_path: Path) -> None:
    toml = write(tmp_path)
    with pytest.raises(AgreementFileError, match="not a compiled agreement") as caught:
        load_agreement(toml)
    assert "agreement compile" in (caught.value.hint or "")
    changed = tmp_path / "changed.agreement"
    changed.write_bytes(agreement.encode() + b"\x00")
    with pytest.raises(AgreementFileError):
        load_agreement(changed)
    (tmp_path / "large.approval").write_bytes(bytes(5_000))
    with pytest.raises(FileAccessError, match="larger"):
        load_approval(tmp_path / "large.approval")


def test_another_agreement_than_the_one_asked_for_is_a_split_view(agreement: Agreement) -> None:
    other = replace(agreement, title="Another title")
    assert require_digest_untrusted(agreement.encode(), agreement.digest()) == agreement
    with pytest.raises(SplitViewError, match=agreement.digest().hex()[:16]):
        require_digest_untrusted(other.encode(), agreement.digest())
