"""A run's outcome is seen at a tick: a whole number of ticks after it began, never at once, never early."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enclave_compute.ticks import Ticks


class Clock:
    """A clock that only sleeping and working move, and a sleep that wakes up a little early."""

    def __init__(self, early_s: float = 0.0) -> None:
        self.now_s = 1000.25
        self.early_s = early_s
        self.slept = 0

    def monotonic_s(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.slept += 1
        self.now_s += max(seconds - self.early_s, seconds / 2)
        self.early_s = 0.0


def seen_after_s(tick_s: int, work_s: float, *, early_s: float = 0.0) -> float:
    clock = Clock(early_s)
    began_s = clock.now_s
    with Ticks(tick_s, monotonic_s=clock.monotonic_s, sleep=clock.sleep).awaited():
        clock.now_s += work_s
    return clock.now_s - began_s


@pytest.mark.parametrize(
    ("tick_s", "work_s", "seen_s"),
    [(1, 0.0, 1), (1, 0.3, 1), (1, 1.0, 1), (1, 1.1, 2), (5, 12.0, 15), (60, 3.0, 60)],
)
def test_the_end_is_at_the_next_tick(tick_s: int, work_s: float, seen_s: float) -> None:
    assert seen_after_s(tick_s, work_s) == pytest.approx(seen_s)


def test_a_tick_of_zero_is_at_once() -> None:
    assert seen_after_s(0, 0.3) == pytest.approx(0.3)


def test_an_error_is_seen_at_a_tick_as_well() -> None:
    clock = Clock()
    began_s = clock.now_s
    with (
        pytest.raises(MemoryError),
        Ticks(2, monotonic_s=clock.monotonic_s, sleep=clock.sleep).awaited(),
    ):
        clock.now_s += 0.5
        raise MemoryError
    assert clock.now_s - began_s == pytest.approx(2)


def test_a_sleep_that_ends_early_is_not_enough() -> None:
    assert seen_after_s(1, 0.4, early_s=0.01) == pytest.approx(1)


@given(st.integers(1, 300), st.floats(0, 10_000))
def test_only_whole_ticks_are_seen(tick_s: int, work_s: float) -> None:
    ticks = seen_after_s(tick_s, work_s) / tick_s
    assert ticks >= 1
    assert ticks == pytest.approx(round(ticks), abs=1e-6)
    assert ticks * tick_s >= work_s - 1e-6
