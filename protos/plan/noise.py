"""What noise a query gets, so that its owners' privacy budgets hold; worked out before any data exists.

Reads a plan that has passed all other rules. Guarantees that every exact number which noise is added to
changes by no more than the noise was made for when one unit of an owner is taken out, and refuses by name,
with a way out, whatever it cannot bound. Party and enclave compute the same, to the last digit. Follows
`docs/privacy.md` and `protos/plan/README.md`, "Noise".
"""

from __future__ import annotations

import math
from typing import Final

from protos.formats.agreement import Agreement
from protos.formats.privacy import DomainValue, QueryNoise
from protos.formats.query import Query
from protos.plan.errors import QueryRefusedError
from protos.plan.noisy_outputs import Measurements, measurements_of
from protos.plan.plan import Noise, Plan
from protos.plan.stakes import Protected, protected_by
from protos.privacy import PrivacyParameterError, plan_noise

_DOMAIN_KINDS: Final[dict[str, type[DomainValue]]] = {"bool": bool, "int64": int, "text": str}


def plan_of_noise(agreement: Agreement, query: Query, plan: Plan) -> Noise | None:
    """The noise of `plan`; None where no owner asks for it. Raises `QueryRefusedError`."""
    protected = protected_by(agreement, query, plan)
    if protected is None or query.noise is None:
        return None
    asked = query.noise
    is_declared = asked.keys == "declared"
    if is_declared:
        _require_domains(asked, plan)
    else:
        _require_selectable(protected, plan)
    cells = math.prod(map(len, asked.domains)) if is_declared else None
    measured = measurements_of(plan, protected, is_selecting=not is_declared, weights=dict(asked.weights))
    return _planned(agreement, asked, protected, measured, cells)


def _planned(
    agreement: Agreement, asked: QueryNoise, protected: Protected, measured: Measurements, cells: int | None
) -> Noise:
    required = measured.required_units
    try:
        stakes = protected.stakes(agreement, cells=cells, required_units=required)
        plan = plan_noise(measured.outputs, stakes, keys=asked.keys, shared_units=measured.units_output)
    except PrivacyParameterError as error:
        raise QueryRefusedError(error.message, hint=error.hint) from error
    return Noise(
        plan=plan,
        measured=measured.columns,
        domains=None if cells is None else asked.domains,
        required_units=required,
        row_floors=measured.row_floors,
        value_floors=measured.value_floors,
    )


def _require_domains(asked: QueryNoise, plan: Plan) -> None:
    """One domain for each GROUP BY expression, of its type."""
    if len(asked.domains) != len(plan.groups):
        raise QueryRefusedError(
            f"`noise` declares {len(asked.domains)} domains for {len(plan.groups)} GROUP BY expressions",
            hint="declare for each, in order, its possible values; domains = [] without GROUP BY",
        )
    for number, (domain, group) in enumerate(zip(asked.domains, plan.groups, strict=True), 1):
        kind = _DOMAIN_KINDS.get(group.type.kind)
        if kind is None:
            raise QueryRefusedError(
                f"GROUP BY expression {number} is {group.type}, for which no values can be declared",
                hint='group by a text, int64 or bool, such as year(…); or take keys = "selected"',
            )
        if type(domain[0]) is not kind:
            raise QueryRefusedError(
                f"GROUP BY expression {number} is {group.type}, and its declared values are not",
                hint="declare texts in quotes, whole numbers, or true and false",
            )


def _require_selectable(protected: Protected, plan: Plan) -> None:
    if not plan.groups:
        raise QueryRefusedError(
            'keys = "selected" without GROUP BY: there is one row in any case',
            hint='write noise = { keys = "declared", domains = [] }',
        )
    for entry in protected.entries:
        if entry.delta == "0":
            raise QueryRefusedError(
                f"{entry.owner} has a privacy budget with delta 0: its data cannot select group keys",
                hint=f'declare the domains of the keys, or {entry.owner} gives a delta such as "0.000001"',
            )
