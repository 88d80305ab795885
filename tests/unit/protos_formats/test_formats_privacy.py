"""Privacy budgets, noise and losses have one spelling each, and what makes no sense is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from protos.formats.errors import FormatError
from protos.formats.privacy import PrivacyEntry, QueryNoise, exact_decimal
from protos.formats.privacy_loss import LossUnits, PrivacyCharge, PrivacySpent

ENTRY = {"owner": "shop", "epsilon": "1.5", "delta": "0.000001", "noise": "gaussian"}
NOISE = {"keys": "declared", "domains": [["a", "b"], [1, 2], [False, True]], "weights": {"n": 2}}
SPENT = PrivacySpent("shop", "gaussian", LossUnits(5, 2), LossUnits(9, 3))


@pytest.mark.parametrize("text", ["0", "1", "20", "0.5", "0.000001", "1." + "0" * 39 + "1"])
def test_a_decimal(text: str) -> None:
    assert exact_decimal(text, what="x") >= 0


@pytest.mark.parametrize(
    "text",
    ["", "1.0", "01", ".5", "5.", "-1", "+1", "1e3", "0.50", "100", "1,5", " 1", "\u0661", 1, None, 1.5],
)
def test_a_decimal_has_one_spelling(text: Any) -> None:
    with pytest.raises(FormatError):
        exact_decimal(text, what="x")


def test_an_entry_and_its_value() -> None:
    assert PrivacyEntry.from_value_untrusted(ENTRY).to_value() == ENTRY
    assert PrivacyEntry.from_value_untrusted({**ENTRY, "delta": "0", "noise": "laplace"}).delta == "0"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"owner": "Shop"}, "privacy: owner"),
        ({"epsilon": "0"}, "got epsilon 0, expected from 0.000001 to 20"),
        ({"epsilon": "20.1"}, "got epsilon 20.1"),
        ({"epsilon": "0.0000009"}, "got epsilon 0.0000009"),
        ({"delta": "0"}, "got delta 0"),
        ({"delta": "0.0011"}, "got delta 0.0011"),
        ({"delta": "0." + "0" * 30 + "1"}, "got delta"),
        ({"noise": "uniform"}, "got noise 'uniform'"),
        ({"noise": {}}, "got noise"),
        ({"extra": 1}, "unknown keys"),
    ],
)
def test_an_entry_that_promises_nothing(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        PrivacyEntry.from_value_untrusted({**ENTRY, **changes})


def test_noise_and_its_value() -> None:
    assert QueryNoise.from_value_untrusted(NOISE).to_value() == NOISE
    selected = {"keys": "selected", "domains": [], "weights": {}}
    assert QueryNoise.from_value_untrusted(selected).to_value() == selected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keys": "any"}, "got keys 'any'"),
        ({"keys": []}, "got keys"),
        ({"keys": "selected"}, "domains are for declared keys"),
        ({"domains": [[]]}, "a domain has at least one value"),
        ({"domains": [["a", 1]]}, "a domain has at least one value"),
        ({"domains": [[1, True]]}, "a domain has at least one value"),
        ({"domains": [[{}]]}, "a domain has at least one value"),
        ({"domains": [[None]]}, "a domain has at least one value"),
        ({"domains": ["ab"]}, "got str, expected a list"),
        ({"domains": [["b", "a"]]}, "ascending order"),
        ({"domains": [["a", "a"]]}, "ascending order"),
        ({"domains": [[""]]}, "got 0 characters"),
        ({"domains": [[2**63]]}, "noise: domain"),
        ({"domains": [list(range(2**9)), list(range(2**9 + 1))]}, "combinations, expected at most 262144"),
        ({"domains": [[1]] * 17}, "got 17 items"),
        ({"weights": []}, "weights: got list, expected a map"),
        ({"weights": {"n": 1}}, "weight of n"),
        ({"weights": {"n": 1001}}, "weight of n"),
        ({"weights": {"n": True}}, "weight of n"),
        ({"weights": {"N": 2}}, "noise: weights"),
    ],
)
def test_noise_that_makes_no_sense(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        QueryNoise.from_value_untrusted({**NOISE, **changes})


def test_weights_stand_in_one_order() -> None:
    with pytest.raises(FormatError, match="ascending order"):
        QueryNoise("selected", (), (("b", 2), ("a", 2)))


def test_a_charge_and_its_value() -> None:
    charge = PrivacyCharge(LossUnits(5, 0), SPENT)
    assert PrivacyCharge.from_value_untrusted(charge.to_value()) == charge
    assert charge.after.left == LossUnits(4, 1)
    assert charge.to_value()["cost"] == {"amount": "5", "delta": "0"}


@pytest.mark.parametrize("units", ["-1", "01", "", "1.0", "1" * 61, 1, None, "\u0661"])
def test_units_of_loss_have_one_spelling(units: Any) -> None:
    with pytest.raises(FormatError):
        LossUnits.from_value_untrusted({"amount": units, "delta": "0"})


def test_losses_fit_each_other() -> None:
    with pytest.raises(FormatError, match="more is spent than the budget allows"):
        PrivacySpent("shop", "gaussian", LossUnits(5, 4), LossUnits(9, 3))
    with pytest.raises(FormatError, match="at most what is spent"):
        PrivacyCharge(LossUnits(6, 0), SPENT)
    with pytest.raises(FormatError, match="a run costs something"):
        PrivacyCharge(LossUnits(0, 1), SPENT)
    with pytest.raises(FormatError, match="got noise"):
        PrivacySpent.from_value_untrusted({**SPENT.to_value(), "noise": "none"})
