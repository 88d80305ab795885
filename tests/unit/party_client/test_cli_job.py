"""`concordat job`, `dataset`, `result` and `receipt` from one end to the other, as people type them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from party_client.transport import Coordinator
from protos.formats.limits import AEAD_TAG_BYTES
from protos.v1 import concordat_pb2 as wire
from tests.unit.coordinator.calls import eventually
from tests.unit.party_client.whole_stack import Command, Stack, environment, whole_stack

VISITS = "email,segment\nann@x.org,sport\nbob@x.org,sport\ncem@x.org,sport\ndee@x.org,news\neve@x.org,news\n"
PURCHASES = "email,amount\n Ann@X.org,10\nbob@x.org,20\nbob@x.org,30\ndee@x.org,40\nzoe@x.org,50\n"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with whole_stack(tmp_path_factory.mktemp("stack")) as started:
        (started.folder / "visits.csv").write_text(VISITS)
        (started.folder / "purchases.csv").write_text(PURCHASES)
        started.agree()
        yield started


@pytest.fixture
def job(stack: Stack, concordat: Command) -> Iterator[str]:
    """A job with an enclave that is bound to the agreement."""
    status, out, err = concordat("job", "start", stack.agreement_file, *stack.connection)
    assert status == 0, err
    yield out.strip()
    concordat("job", "close", out.strip(), *stack.connection)


def with_job(stack: Stack, job: str, who: str) -> list[object]:
    """The options of a command that `who` gives about `job`."""
    return [
        *("--job", job, "--agreement", stack.agreement_file, "--identity", stack.key(who)),
        *stack.connection,
        *stack.trust,
    ]


def send_both(stack: Stack, concordat: Command, job: str) -> list[Any]:
    """Both parties send; what the commands said in JSON."""
    said = []
    for dataset, owner in (("visits", "publisher"), ("purchases", "advertiser")):
        status, out, err = concordat(
            *("dataset", "send", f"{dataset}.csv", "--dataset", dataset, "--json"),
            *with_job(stack, job, owner),
        )
        assert status == 0, err
        said.append(json.loads(out))
    return said


def test_the_whole_story(stack: Stack, concordat: Command, job: str) -> None:
    visits, purchases = send_both(stack, concordat, job)
    assert (visits["rows"], purchases["rows"]) == (5, 5)
    assert visits["warning"].startswith("SIMULATED")

    status, out, err = concordat(
        "job", "run", "totals", "--param", "least=0", *with_job(stack, job, "analyst")
    )
    assert status == 0, err
    assert "SIMULATED" in err
    run = out.strip()

    totals, receipt = stack.folder / "totals.csv", stack.folder / "totals.receipt"
    status, out, err = concordat(
        *("result", "get", run, "-o", totals, "--receipt", receipt),
        *with_job(stack, job, "analyst"),
    )
    assert status == 0, err
    assert "held back: at most" in err
    assert totals.read_text() == "segment,purchases,total\nsport,3,60\n"

    status, out, err = concordat("result", "get", run, *with_job(stack, job, "analyst"))
    assert status == 0, err
    assert "sport" in out

    status, out, _ = concordat("receipt", "verify", receipt, *stack.trust)
    assert status == 0
    assert "signed by all its parties" in out
    assert "a root that you trust" in out
    assert "SIMULATED" in out

    status, out, _ = concordat("receipt", "verify", receipt, "--json", "--agreement", stack.agreement_file)
    assert status == 0
    facts = json.loads(out)
    assert facts["root"]["from_agreement"]
    assert any(warning.startswith("ROOT FROM THE AGREEMENT") for warning in facts["warnings"])
    assert {used["manifest"] for used in facts["datasets"]} == {visits["manifest"], purchases["manifest"]}

    altered = bytearray(receipt.read_bytes())
    altered[200] ^= 1
    (stack.folder / "altered.receipt").write_bytes(altered)
    status, out, err = concordat("receipt", "verify", stack.folder / "altered.receipt", *stack.trust)
    assert (status, out) == (1, "")
    assert err.startswith("error: ")


def test_a_result_file_is_never_overwritten(stack: Stack, concordat: Command, job: str) -> None:
    (stack.folder / "old.csv").write_text("keep me")
    status, _, err = concordat(
        *("result", "get", "00" * 16, "-o", stack.folder / "old.csv"), *with_job(stack, job, "analyst")
    )
    assert status == 1
    assert "already" in err
    status, _, err = concordat("result", "get", "00" * 16, "-o", "x.xlsx", *with_job(stack, job, "analyst"))
    assert status == 1
    assert ".parquet" in err


def test_what_the_coordinator_says_of_a_job(stack: Stack, concordat: Command, job: str) -> None:
    status, out, _ = concordat("job", "show", job, *stack.connection)
    assert status == 0
    assert "visits: missing" in out
    status, out, _ = concordat("job", "list", *stack.connection, "--json")
    assert status == 0
    assert job in {each["job_id"] for each in json.loads(out)}
    status, out, _ = concordat("job", "close", job, *stack.connection)
    assert status == 0
    assert "closed" in out
    status, _, err = concordat("job", "verify", job, "--agreement", stack.agreement_file, *stack.connection)
    assert status == 1
    assert "not running" in err


def test_what_became_of_a_deposit_is_said_with_the_job(stack: Stack, concordat: Command, job: str) -> None:
    digest, upload_id = stack.agreement.digest(), bytes(16)
    with Coordinator.in_plaintext(stack.address) as coordinator:
        coordinator.begin_deposit(digest, "visits", upload_id, b"what no owner signed")
        chunk = wire.Chunk(agreement_digest=digest, upload_id=upload_id, last=True, sealed=bytes(100))
        assert list(coordinator.upload_chunks(iter([chunk])))[-1] == 1
        coordinator.finish_deposit(digest, upload_id, b"a manifest")
        eventually(lambda: coordinator.list_deposits(digest)[0].said)
        status, out, _ = concordat("job", "show", job, *stack.connection)
        coordinator.remove_deposit(digest, upload_id)
        assert coordinator.list_deposits(digest) == []
    assert status == 0
    assert "deposit    visits, by anonymous: malformed" in out


def test_an_enclave_is_verified_or_refused(stack: Stack, concordat: Command, job: str) -> None:
    words = ("job", "verify", job, "--agreement", stack.agreement_file, *stack.connection)
    status, out, _ = concordat(*words, *stack.trust)
    assert status == 0
    assert "bound to this agreement" in out
    assert "SIMULATED" in out
    status, out, err = concordat(*words)  # AWS's root alone did not vouch for this one
    assert (status, out) == (1, "")
    assert "not issued under any trusted root" in err


def test_nothing_is_sealed_to_an_enclave_that_is_not_verified(
    stack: Stack, concordat: Command, job: str
) -> None:
    status, _, err = concordat(
        *("dataset", "send", "visits.csv", "--dataset", "visits", "--job", job),
        *("--agreement", stack.agreement_file, "--identity", stack.key("publisher")),
        *stack.connection,
    )
    assert status == 1
    assert "not issued under any trusted root" in err
    _, out, _ = concordat("job", "show", job, *stack.connection, "--json")
    assert not any(slot["complete"] for slot in json.loads(out)["datasets"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["totals", "--param", "least=-1"], "expected 0 to 100"),
        (["totals", "--param", "least=few"], "expected a whole number"),
        (["totals", "--param", "most=1"], "expected name=value"),
        (["totals"], "got parameters"),
        (["nothing"], "no query 'nothing'"),
    ],
)
def test_a_request_that_was_not_agreed_goes_nowhere(
    stack: Stack, concordat: Command, words: list[str], said: str
) -> None:
    status, out, err = concordat("job", "run", *words, *with_job(stack, "none", "analyst"))
    assert (status, out) == (1, "")
    assert said in err


def test_a_run_that_the_enclave_refuses_says_why(stack: Stack, concordat: Command, job: str) -> None:
    status, _, err = concordat("job", "run", "totals", "--param", "least=0", *with_job(stack, job, "analyst"))
    assert status == 1
    assert "not-ready" in err
    assert "hint: wait until every dataset of the query is complete" in err


def test_check_tells_bad_rows_and_sends_nothing(stack: Stack, concordat: Command) -> None:
    words = ("dataset", "check", "--agreement", stack.agreement_file, "--dataset")
    status, out, _ = concordat(*words, "visits", "visits.csv")
    assert status == 0
    assert "5 rows" in out
    (stack.folder / "bad.csv").write_text("email;amount\nann@x.org;many\n")
    status, _, err = concordat(*words, "purchases", "bad.csv", "--delimiter", ";")
    assert status == 1
    assert "row 1, amount: a whole number" in err
    assert "many" not in err
    status, _, err = concordat(*words, "nothing", "visits.csv")
    assert status == 1
    assert "no dataset 'nothing'" in err
    status, _, _ = concordat(*words, "visits", "visits.csv", "--delimiter", "--")
    assert status == 2


def test_ctrl_c_leaves_an_upload_that_the_same_command_continues(
    stack: Stack, concordat: Command, job: str
) -> None:
    rows = 900_000
    frame = pd.DataFrame({"email": [f"p{row}@{'example' * 12}.org" for row in range(rows)], "amount": 1})
    frame.to_csv(stack.folder / "large.csv", index=False)
    words = [
        *("dataset", "send", "large.csv", "--dataset", "purchases", "--json"),
        *map(str, with_job(stack, job, "advertiser")),
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "party_client.cli.main", *words],
        cwd=stack.folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    journals = stack.folder / "home" / "uploads"
    begun_bytes = 0
    while process.poll() is None and not begun_bytes:
        begun_bytes = journal_bytes(journals, job)
    while process.poll() is None and journal_bytes(journals, job) < begun_bytes + 10 * AEAD_TAG_BYTES:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.startswith("error: interrupted; ")
    assert "the same command again" in err

    status, out, err = concordat(*words)
    assert status == 0, err
    assert "continuing the upload" in err
    said = json.loads(out)
    assert said["rows"] == rows
    assert said["resumed_at_chunk"] > 0


def journal_bytes(journals: Path, job: str) -> int:
    """The size of the journal of this job's upload: what it begins with, and a tag for each sealed chunk."""
    return sum(path.stat().st_size for path in journals.glob(f"{job}.*"))


def test_what_is_left_of_the_runs(stack: Stack, concordat: Command, job: str) -> None:
    for who in ("analyst", "publisher", "advertiser"):
        status, out, err = concordat("job", "budget", *with_job(stack, job, who))
        assert status == 0, err
        assert ["totals", "in", "all", "3", "3"] in [line.split() for line in out.splitlines()]
    status, out, _ = concordat("job", "budget", *with_job(stack, job, "analyst"), "--json")
    found = json.loads(out)
    assert status == 0
    assert found["queries"]["totals"] == {
        "query": {"limit": 3, "left": 3},
        "agreement": {"limit": 5, "left": 5},
    }
    assert found["verified"] is True
