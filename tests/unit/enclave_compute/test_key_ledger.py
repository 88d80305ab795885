"""Uses of keys are charged once and against every bound; all follows from the uses that are remembered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enclave_compute.errors import RefusedError
from enclave_compute.key_ring.ledger import KeyLedger, Used
from protos.formats.budget import WINDOWS_S
from protos.formats.key_budget import KEY_WINDOWS
from protos.formats.key_use import KeyRequest
from tests import key_world
from tests.key_world import key

WINDOWED = key("k", "ed25519", "sign", max_uses=4, per_day=1, per_week=2, per_month=3)
TOKENS = replace(key_world.TOKENS, id="t")
DAY_S, WEEK_S, MONTH_S = WINDOWS_S.values()


def request(number: int, key_id: str = "k", content: bytes = bytes(48)) -> KeyRequest:
    return KeyRequest(bytes([number]) * 16, bytes(48), bytes(16), key_id, "sign", "publisher", content)


def left(ledger: KeyLedger, now_s: int) -> dict[str, int]:
    return {item.window: item.left for item in ledger.left(WINDOWED, now_s=now_s)}


def charge(ledger: KeyLedger, asked: KeyRequest, *, values: int = 0, now_s: int = 0) -> Used:
    used = ledger.next_use(asked, values=values, now_s=now_s)
    ledger.charge(used)
    return used


def use(ledger: KeyLedger, number: int, now_s: int) -> None:
    ledger.require_left(WINDOWED, values=0, now_s=now_s)
    charge(ledger, request(number), now_s=now_s)


def test_windows_are_in_one_order_and_have_the_lengths_of_runs() -> None:
    assert ("uses", *WINDOWS_S, "values") == KEY_WINDOWS


def test_each_window_closes_and_opens_again() -> None:
    ledger = KeyLedger([WINDOWED])
    assert left(ledger, 0) == {"uses": 4, "day": 1, "week": 2, "month": 3}
    use(ledger, 1, 0)
    for now_s in (0, DAY_S - 1):
        with pytest.raises(RefusedError, match="no-uses-now"):
            use(ledger, 2, now_s)
    use(ledger, 2, DAY_S)
    with pytest.raises(RefusedError, match="no-uses-now"):
        use(ledger, 3, 2 * DAY_S)
    use(ledger, 3, WEEK_S)
    with pytest.raises(RefusedError, match="no-uses-now"):
        use(ledger, 4, WEEK_S + 2 * DAY_S)
    assert left(ledger, MONTH_S) == {"uses": 1, "day": 1, "week": 2, "month": 1}
    use(ledger, 4, MONTH_S)
    with pytest.raises(RefusedError, match="no-uses-left"):
        use(ledger, 5, 100 * MONTH_S)


def test_values_count_to_the_last_one() -> None:
    ledger = KeyLedger([TOKENS])
    ledger.require_left(TOKENS, values=10, now_s=0)
    with pytest.raises(RefusedError, match="no-uses-left"):
        ledger.require_left(TOKENS, values=11, now_s=0)
    charge(ledger, request(1, "t"), values=10, now_s=0)
    ledger.require_left(TOKENS, values=0, now_s=0)
    with pytest.raises(RefusedError, match="no-uses-left"):
        ledger.require_left(TOKENS, values=1, now_s=0)


def test_one_key_costs_another_nothing() -> None:
    ledger = KeyLedger([WINDOWED, TOKENS])
    charge(ledger, request(1, "t"), values=3, now_s=0)
    assert left(ledger, 0) == {"uses": 4, "day": 1, "week": 2, "month": 3}
    assert charge(ledger, request(2), values=0, now_s=0).number == 1


def test_an_id_stands_for_one_request() -> None:
    ledger = KeyLedger([WINDOWED])
    assert ledger.charged(request(1)) is None
    used = charge(ledger, request(1), values=0, now_s=5)
    assert ledger.charged(request(1)) == used
    assert (used.number, used.at_s) == (1, 5)
    with pytest.raises(RefusedError, match="wrong-place"):
        ledger.charged(request(1, content=b"x" * 48))


def test_a_ledger_is_made_again_from_its_uses() -> None:
    ledger = KeyLedger([WINDOWED, TOKENS])
    uses = [charge(ledger, request(1), now_s=7), charge(ledger, request(2, "t"), values=3, now_s=8)]
    again = KeyLedger([WINDOWED, TOKENS], uses)
    for agreed in (WINDOWED, TOKENS):
        assert again.left(agreed, now_s=9) == ledger.left(agreed, now_s=9)
    assert again.charged(request(1)) == ledger.charged(request(1))
