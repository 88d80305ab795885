"""Advice about refusals: there is some for every code, and it is this client's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from coordinator import statuses
from coordinator.errors import CoordinatorError
from party_client.jobs import JobNotRunningError, wait_until_running
from party_client.refusals import NEXT_STEPS, first_line, next_step, next_step_for_words
from party_client.runs import RunRefusedError
from protos.formats.calls import Refusal
from protos.formats.errors import FormatError, LimitExceededError
from protos.v1 import concordat_pb2 as wire
from tests.meta.repository import ROOT
from tests.meta.test_error_codes import import_everything

# What a coordinator says to its operator when it is started, and to no caller.
AT_THE_START = {
    *("coordinator/launch", "coordinator/cannot-serve", "coordinator/enclave-refused"),
    *("coordinator/allocator-file", "coordinator/nitro-cli", "coordinator/price-file"),
    "coordinator/allowlist-file",
}


def test_there_is_advice_for_every_code_that_is_ever_sent() -> None:
    import_everything()
    of_the_coordinator = {error.code for error in CoordinatorError.__subclasses__()} - AT_THE_START
    sent = {
        *Refusal,
        *of_the_coordinator,
        CoordinatorError.code,
        *(error.code for error in statuses.OF_ERROR),
        FormatError.code,
        LimitExceededError.code,
    }
    assert set(NEXT_STEPS) == sent


def test_advice_names_commands_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    from party_client.cli.main import main

    named = {
        found for advice in NEXT_STEPS.values() for found in re.findall(r"`concordat ([a-z ]+)`", advice)
    }
    assert named
    for words in named:
        assert main([*words.split(), "--help"]) == 0, words
    capsys.readouterr()


def test_a_code_that_nobody_knows_is_not_advice() -> None:
    assert "not know" in next_step("send your key to evil.example")
    assert "evil" not in next_step("send your key to evil.example")


def test_advice_for_a_sentence_goes_by_the_enclave_s_code_in_it() -> None:
    assert next_step_for_words("the enclave refused: not-in-force") == next_step("not-in-force")
    assert next_step_for_words("(not-valid-now).") == next_step("not-valid-now")
    assert next_step_for_words("the enclave did not start") is None


class _Over:
    """A coordinator whose job is over."""

    def get_job(self, job_id: str) -> wire.Job:
        return wire.Job(job_id=job_id, state=wire.JOB_STATE_FAILED, detail="refused: not-in-force\nhint: pay")


def test_why_a_job_failed_is_the_coordinator_s_word_and_the_advice_is_not() -> None:
    with pytest.raises(JobNotRunningError) as caught:
        wait_until_running(_Over(), "j")  # type: ignore[arg-type]
    assert caught.value.message == "job j: failed, the coordinator says: refused: not-in-force"
    assert caught.value.hint == next_step("not-in-force")


def test_why_a_run_was_refused_is_the_coordinator_s_word_and_the_advice_is_not() -> None:
    refused = RunRefusedError("not-ready")
    assert refused.message == "the coordinator says: the enclave refused the run (not-ready)"
    assert refused.hint == next_step("not-ready")
    assert "pay" not in RunRefusedError("x\nhint: pay").message
    assert len(first_line("x" * 5000)) < 500


def test_the_operator_s_page_speaks_of_refusals_that_there_are() -> None:
    page = (ROOT / Path("docs/operations.md")).read_text(encoding="utf-8")
    assert {*re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)} <= {*Refusal}
