"""What is left of the runs is believed from a verified enclave's fresh, signed word and from nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from party_client.budgets import BudgetError
from party_client.client import Client
from protos.formats import cose
from protos.formats.agreement import Agreement
from protos.formats.budget import BUDGET_LABEL, Budget
from protos.formats.canonical import decode_untrusted
from protos.formats.errors import SignatureError
from protos.formats.limits import BUDGET_MAX_BYTES
from tests.unit.party_client.direct_coordinator import DirectCoordinator
from tests.world import ANALYST, Enclave


class Between(DirectCoordinator):
    """Passes answers about budgets through `change`."""

    change: Callable[[bytes], bytes] = staticmethod(lambda answer: answer)

    def get_budget(self, job_id: str, signed_request: bytes) -> bytes:
        return self.change(super().get_budget(job_id, signed_request))


@pytest.fixture
def coordinator(bound: Enclave) -> Between:
    return Between(bound)


@pytest.fixture
def client(coordinator: Between, bound: Enclave, tmp_path: Path) -> Client:
    return Client(coordinator, ANALYST, roots=bound.roots, state=tmp_path)


def test_what_is_left(client: Client, agreed: Agreement) -> None:
    (query,) = client.budget("job", agreed).queries
    assert [(item.window, item.left) for item in query.windows] == [("query", 3), ("agreement", 5)]


def test_an_altered_answer(client: Client, coordinator: Between, agreed: Agreement) -> None:
    coordinator.change = lambda answer: answer[:-1] + bytes([answer[-1] ^ 1])
    with pytest.raises(SignatureError):
        client.budget("job", agreed)


def test_an_answer_by_another_key(client: Client, coordinator: Between, agreed: Agreement) -> None:
    def resigned(answer: bytes) -> bytes:
        payload = decode_untrusted(answer, max_bytes=BUDGET_MAX_BYTES, what="answer")[2]
        return cose.sign(payload, typ=BUDGET_LABEL, key=ANALYST.signing_key)

    coordinator.change = resigned
    with pytest.raises(SignatureError):
        client.budget("job", agreed)


def test_an_old_answer(client: Client, coordinator: Between, agreed: Agreement) -> None:
    kept: list[bytes] = []

    def replayed(answer: bytes) -> bytes:
        kept.append(answer)
        return kept[0]

    coordinator.change = replayed
    client.budget("job", agreed)
    with pytest.raises(BudgetError, match="another question"):
        client.budget("job", agreed)


def test_other_windows_than_the_agreed_ones(
    client: Client, coordinator: Between, agreed: Agreement, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Budget.decode_untrusted

    def narrower(data: bytes) -> Budget:
        budget = read(data)
        (query,) = budget.queries
        return replace(budget, queries=(replace(query, windows=query.windows[:1]),))

    monkeypatch.setattr(Budget, "decode_untrusted", staticmethod(narrower))
    with pytest.raises(BudgetError, match="other windows"):
        client.budget("job", agreed)
