"""The enclave's time is the module's, in whole seconds, and never runs backwards."""

from __future__ import annotations

import pytest

from enclave_compute.clock import NsmClock
from enclave_compute.nsm import Nsm
from tests.world import Enclave


@pytest.mark.parametrize(
    ("shown_ms", "expected_s"),
    [
        ([1_999, 2_000, 2_001], [1, 2, 2]),
        ([5_000, 3_000, 4_999, 5_001], [5, 5, 5, 5]),  # set back: time stands still until it is caught up
        ([5_000, 3_000, 6_000], [5, 5, 6]),
    ],
)
def test_time_never_runs_backwards(
    enclave: Enclave, monkeypatch: pytest.MonkeyPatch, shown_ms: list[int], expected_s: list[int]
) -> None:
    shown = iter(shown_ms)
    monkeypatch.setattr(Nsm, "now_ms", lambda _: next(shown))
    clock = NsmClock(enclave.nsm)
    assert [clock.now_s() for _ in shown_ms] == expected_s
