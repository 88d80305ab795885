"""What each query could reveal about each owner's people: one account for the person who signs.

Everything follows from the agreement and from the plans that the enclave will run; nothing is run and no data
is read. A query that the enclave would refuse has no account. Whatever an owner rules is an entry in a list
here, so that a further rule is a further entry.
"""

from __future__ import annotations

from dataclasses import dataclass

from party_client.agreements.checking import Check, ColumnUse, QueryCheck
from party_client.leak_report.fan_out import FanOut, fan_outs
from party_client.leak_report.flow import Flow, flow
from party_client.leak_report.grants import DatasetGrants, dataset_grants
from party_client.leak_report.noise_preview import NoisePreview, noise_preview
from party_client.leak_report.observations import Observation, observations
from party_client.leak_report.run_budget import RunBudget, run_budget
from protos.plan import Plan


@dataclass(frozen=True)
class Stake:
    """What one owner has at stake in one query, through one of its datasets."""

    owner: str
    dataset: str
    unit: str
    """Whose distinct values are counted behind every row."""
    asked_units: int
    required_units: int
    """The strictest number of all owners."""
    uses: tuple[ColumnUse, ...]
    """Of this dataset's columns, each with the grant that lets it."""
    fan_out: FanOut


@dataclass(frozen=True)
class QueryReport:
    """One query that the enclave would run."""

    check: QueryCheck
    stakes: tuple[Stake, ...]
    observations: tuple[Observation, ...]
    budget: RunBudget
    flow: Flow
    noise: NoisePreview | None
    """How far off its figures will be; None: results are exact."""


@dataclass(frozen=True)
class LeakReport:
    """The whole account. `check` says what the agreement lets happen, the rest what that can reveal."""

    check: Check
    queries: tuple[QueryReport, ...]
    """Without those that the enclave would refuse: see `check.refused`."""
    datasets: tuple[DatasetGrants, ...]

    def query(self, query_id: str) -> QueryReport | None:
        """The account of one query; None when the enclave would refuse it."""
        return {report.check.id: report for report in self.queries}.get(query_id)


def leak_report(check: Check) -> LeakReport:
    """The account of an agreement that has been checked."""
    return LeakReport(
        check=check,
        queries=tuple(
            _query(check, query, check.plans[query.id]) for query in check.queries if query.id in check.plans
        ),
        datasets=dataset_grants(check.agreement, check.plans.values()),
    )


def _query(check: Check, found: QueryCheck, plan: Plan) -> QueryReport:
    query = check.agreement.query(found.id)
    reach = fan_outs(plan)
    return QueryReport(
        check=found,
        stakes=tuple(
            Stake(
                owner=counted.owner,
                dataset=counted.dataset,
                unit=counted.unit,
                asked_units=counted.asked_units,
                required_units=counted.required_units,
                uses=tuple(use for use in found.uses if use.dataset == counted.dataset),
                fan_out=reach[counted.dataset],
            )
            for counted in found.thresholds
        ),
        observations=observations(check.agreement, query, plan),
        budget=run_budget(check.agreement, query, plan),
        flow=flow(check.agreement, query, plan),
        noise=noise_preview(check.agreement, query, plan),
    )
