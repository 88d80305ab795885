"""How much noise each column of one run gets, which group keys are shown, and what that costs every owner.

Reads what each owner gives for the run (`Stake`). A column's noise is the largest that any owner needs for
it; what an owner is then charged follows from the noise that is really added and never exceeds its share.
Gaussian noise with parameter v on a vector of L2 sensitivity D costs rho = D²/2v (Canonne, Kamath, Steinke
2020, theorem 14); Laplace noise of scale b costs epsilon = L1 sensitivity / b.

Keys are *declared* (every key of an agreed domain is shown, and only those) or *selected*: a cell is shown
when for each owner its noisy number of distinct units reaches a threshold. A unit that is alone in a group
has a count of 1, so it is shown with probability P[noise >= threshold - 1]; times the groups of a unit this
is the delta. Cells that several units share are covered by the noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from protos.privacy.errors import PrivacyParameterError
from protos.privacy.loss import Loss, Mechanism
from protos.privacy.outputs import ExactColumn, NoisyOutput, key_units_column
from protos.privacy.rounding import short_up
from protos.privacy.sensitivity import Contribution, Sensitivity, sensitivity
from protos.privacy.tails import Noise, reach_of, tail

Keys = Literal["declared", "selected"]


@dataclass(frozen=True)
class Stake:
    """What one owner of data in the query puts into one run."""

    owner: str
    contribution: Contribution
    share: Loss
    """The most that this run may cost it, in whole units, as from `Budget.each_of`."""
    required_units: int = 1
    """Of selected keys: a threshold of the owner's own below which nothing is shown in any case."""


@dataclass(frozen=True)
class NoisyColumn:
    """An exact column and the noise that every cell of it gets."""

    exact: ExactColumn
    noise: Noise


@dataclass(frozen=True)
class KeyThreshold:
    """A cell is shown when the noisy value of `column` is at least `least`."""

    owner: str
    column: str
    least: int


@dataclass(frozen=True)
class NoisePlan:
    """Everything about the noise of one run that does not depend on data; made by `plan_noise` alone."""

    outputs: tuple[NoisyOutput, ...]
    columns: tuple[NoisyColumn, ...]
    """In the order of the outputs, then those that select keys."""
    thresholds: tuple[KeyThreshold, ...]
    """One for each owner where keys are selected; empty where they are declared."""
    costs: tuple[tuple[str, Loss], ...]
    """What the run costs each owner; to be charged before anything is released."""

    def column(self, name: str) -> NoisyColumn:
        """The column of this name. Raises `KeyError`."""
        for column in self.columns:
            if column.exact.name == name:
                return column
        raise KeyError(name)

    def cost_of(self, owner: str) -> Loss:
        """What the run costs `owner`. Raises `KeyError`."""
        return dict(self.costs)[owner]


def plan_noise(
    outputs: Sequence[NoisyOutput], stakes: Sequence[Stake], *, keys: Keys, shared_units: str = ""
) -> NoisePlan:
    """The noise for one run. Raises `PrivacyParameterError` when no guarantee could be kept.

    `shared_units`: where the units of all owners are one column in every row, the output of kind units that
    counts them in a whole cell. It then selects keys for everybody, and the owner that a units output names
    makes no difference.
    """
    mechanism = _require_stakes(stakes, keys)
    exact = _exact_columns(outputs, stakes, keys, shared_units)
    weights = sum(column.weight for column in exact)
    columns = tuple(NoisyColumn(column, _noise(column, stakes, mechanism, weights)) for column in exact)
    selecting = stakes if keys == "selected" else ()
    thresholds = tuple(_threshold(stake, columns, shared_units) for stake in selecting)
    costs = tuple((stake.owner, _cost(stake, columns, thresholds, mechanism)) for stake in stakes)
    return NoisePlan(tuple(outputs), columns, thresholds, costs)


def _require_stakes(stakes: Sequence[Stake], keys: Keys) -> Mechanism:
    if not stakes:
        raise PrivacyParameterError("noise protects at least one owner's units, got no owner")
    if len({stake.owner for stake in stakes}) != len(stakes):
        raise PrivacyParameterError("an owner has one stake in a query, for all its datasets together")
    if len({stake.share.mechanism for stake in stakes}) != 1:
        raise PrivacyParameterError(
            "owners of data in one query ask for different kinds of noise",
            hint="agree on gaussian or laplace for all of them",
        )
    for stake in stakes:
        if stake.share != stake.share.whole_down():
            raise PrivacyParameterError(f"{stake.owner}: a share is in whole units of loss")
        if stake.share.amount == 0:
            raise PrivacyParameterError(f"{stake.owner}: a share of 0 means infinite noise")
        if keys == "selected" and stake.share.delta == 0:
            raise PrivacyParameterError(
                f"{stake.owner}: group keys from the data need a delta above 0",
                hint="give the budget a delta, or declare the domain of the group keys",
            )
    return stakes[0].share.mechanism


def _exact_columns(
    outputs: Sequence[NoisyOutput], stakes: Sequence[Stake], keys: Keys, shared_units: str
) -> tuple[ExactColumn, ...]:
    owners = [stake.owner for stake in stakes]
    names = [output.name for output in outputs]
    by_kind = {output.name: output.kind for output in outputs}
    for output in outputs:
        if output.owner and output.owner not in owners:
            raise PrivacyParameterError(f"{output.name}: {output.owner} has no stake in this query")
        if output.counted_by and by_kind.get(output.counted_by) != "rows":
            raise PrivacyParameterError(f"{output.name}: {output.counted_by} is no output of kind rows")
    if shared_units and by_kind.get(shared_units) != "units":
        raise PrivacyParameterError(f"{shared_units} is no output of kind units")
    columns = [
        replace(column, is_everybodys=bool(shared_units) and column.measure == "units")
        for output in outputs
        for column in output.columns()
    ]
    if keys == "selected" and not shared_units:
        counted = {output.owner for output in outputs}  # these outputs select keys as well
        selecting = [owner for owner in owners if owner not in counted]
        columns += [ExactColumn(key_units_column(owner), "units", 1, owner=owner) for owner in selecting]
    if not columns or len({column.name for column in columns}) != len(columns):
        raise PrivacyParameterError(f"outputs with noise have a name each; got {names}")
    return tuple(columns)


def _noise(column: ExactColumn, stakes: Sequence[Stake], mechanism: Mechanism, weights: int) -> Noise:
    """The least noise with which the column costs no owner more than its part of the share."""
    part = Fraction(column.weight, weights)
    needed = (
        _charge(_sensitivity(column, stake), Noise(mechanism, Fraction(1))) / (stake.share.amount * part)
        for stake in stakes
    )
    return Noise(mechanism, short_up(max(needed)))


def _charge(of: Sensitivity, noise: Noise) -> Fraction:
    """rho or epsilon of a vector with this noise; in both cases inverse to `noise.scale`."""
    if noise.mechanism == "gaussian":
        return of.l2_squared / (2 * noise.scale)
    return of.l1 / noise.scale


def _sensitivity(column: ExactColumn, stake: Stake) -> Sensitivity:
    own = column.is_everybodys or column.owner == stake.owner
    return sensitivity(column.measure, stake.contribution, own=own, largest=column.largest)


def _threshold(stake: Stake, columns: tuple[NoisyColumn, ...], shared_units: str) -> KeyThreshold:
    column = next(
        column
        for column in columns
        if (column.exact.name == shared_units if shared_units else column.exact.owner == stake.owner)
    )
    least = 1 + reach_of(column.noise, stake.share.delta / _groups(stake))
    return KeyThreshold(stake.owner, column.exact.name, max(least, stake.required_units))


def _cost(
    stake: Stake,
    columns: tuple[NoisyColumn, ...],
    thresholds: tuple[KeyThreshold, ...],
    mechanism: Mechanism,
) -> Loss:
    amount = sum((_charge(_sensitivity(c.exact, stake), c.noise) for c in columns), Fraction(0))
    delta = Fraction(0)
    for threshold in thresholds:
        if threshold.owner == stake.owner:
            (noise,) = (c.noise for c in columns if c.exact.name == threshold.column)
            delta = _groups(stake) * tail(noise, threshold.least - 1)
    return Loss(mechanism, amount, delta).whole_up()


def _groups(stake: Stake) -> int:
    return min(stake.contribution.groups, stake.contribution.rows)
