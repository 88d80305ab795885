from __future__ import annotations

from coordinator.pauses import LONGEST_S, Pauses


def test_pauses_grow_up_to_a_bound_and_end_with_success() -> None:
    now = 0.0
    pauses: Pauses[str] = Pauses(clock=lambda: now)
    assert pauses.is_due("a")
    waited = []
    for _ in range(9):
        pauses.failed("a")
        began = now
        while not pauses.is_due("a"):
            now += 0.5
        waited.append(now - began)
    assert waited == [1, 2, 4, 8, 16, 32, LONGEST_S, LONGEST_S, LONGEST_S]
    pauses.failed("a")
    assert not pauses.is_due("a")
    assert pauses.is_due("b"), "each for itself"
    pauses.forget("a")
    assert pauses.is_due("a")
    pauses.failed("a")
    now += 1
    assert pauses.is_due("a"), "it begins anew"
