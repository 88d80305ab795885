"""The leak report as one page, for whoever has to answer for the people in an owner's data.

Says what the report says, in the order in which a person decides: what it is, what every query shows of whom,
what the grants are, what to keep in mind. Pictures stand beside the words and never instead of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from party_client.agreements.checking import QueryCheck
from party_client.agreements.keys_text import KeyCheck
from party_client.agreements.releases import MEANINGS
from party_client.leak_report import LeakReport
from party_client.leak_report.grants import ColumnGrants, DatasetGrants
from party_client.leak_report.run_budget import counted_together
from party_client.pages import svg
from party_client.pages.document import bullets, code, facts, listed, page, section, table
from party_client.pages.markup import Child, Markup, element
from party_client.pages.noise_section import budgets_section
from party_client.pages.query_section import query_section
from party_client.times import time_text


def leak_report_page(report: LeakReport) -> str:
    """The page as text; the same report gives the same bytes."""
    agreement = report.check.agreement
    owners = {
        owner: number for number, owner in enumerate(dict.fromkeys(d.owner for d in agreement.datasets))
    }
    return page(
        f"Leak report: {agreement.title}",
        _opening(report),
        *_at_a_glance(report),
        *budgets_section(report.check.budgets, owners),
        *(_query(report, found, owners) for found in report.check.queries),
        *map(_key, report.check.keys),
        *_all_grants(report, owners),
        *_key_services(report),
        section("keep-in-mind", "To keep in mind", bullets(report.check.warnings, "findings")),
        _closing(report),
    )


def _all_grants(report: LeakReport, owners: Mapping[str, int]) -> list[Markup]:
    if not report.datasets:
        return []
    each = [_grants(dataset, owners) for dataset in report.datasets]
    return [section("grants", "What every column may be used for", element("p", None, _GRANTS), *each)]


_GRANTS = (
    "An owner grants uses column by column; what is not granted is refused. A grant that no query uses could "
    "be taken back before signing, and nothing would stop working."
)


def _opening(report: LeakReport) -> Markup:
    check, agreement = report.check, report.check.agreement
    releases = [
        f"{item.kind}: {item.name}, {MEANINGS[item.kind]}; valid {item.validity}" for item in check.releases
    ]
    return element(
        "header",
        None,
        element("p", {"class": "kicker"}, f"Leak report for agreement {agreement.id}"),
        element("h1", None, agreement.title),
        element("p", {"class": "lead"}, agreement.purpose),
        *(_banner(f"{item.kind}.", MEANINGS[item.kind]) for item in check.releases_not_aws),
        *(_banner("REFUSED.", f"The enclave would not run query {item.id}.") for item in check.refused),
        facts(
            [
                ("Signed by all of", listed([party.id for party in agreement.parties])),
                ("Valid from", time_text(agreement.valid_from_s)),
                ("Valid until", time_text(agreement.valid_until_s)),
                ("Runs of all queries", f"{agreement.limits.max_runs:,} {counted_together(agreement)}"),
                ("Runs in", bullets(releases, "bare")),
                ("Other code is accepted by", check.releases_changed_by),
                ("Digest of the agreement", element("code", {"class": "digest"}, agreement.digest().hex())),
            ]
        ),
        element("p", None, _WHAT_IT_IS),
    )


_WHAT_IT_IS = (
    "This report is worked out from the agreement alone, by the code that the enclave runs; nothing was run "
    "and no data was read. It says what can happen at most and what could be concluded. It never says that "
    "something is safe: that is for you to decide."
)


def _banner(head: str, text: str) -> Markup:
    return element("p", {"class": "banner"}, element("strong", None, head), " ", text)


def _at_a_glance(report: LeakReport) -> list[Markup]:
    if not report.check.queries:
        return []
    rows: list[list[Child]] = []
    for found in report.check.queries:
        query = report.query(found.id)
        link = element("a", {"href": f"#query-{found.id}"}, code(found.id))
        if query is None:
            rows.append([link, "refused", "", "", "", ""])
            continue
        rows.append(
            [
                link,
                listed([stake.dataset for stake in query.stakes]),
                listed(found.receivers),
                f"{query.flow.required_units:,}" if query.noise is None else "noise",
                f"{query.budget.runs:,}",
                f"{query.budget.different_results:,}",
            ]
        )
    columns = ["Query", "Reads", "Goes to", "Units behind every row", "Runs at most", "Different results"]
    return [section("glance", "At a glance", table("The queries of the agreement", columns, rows))]


def _query(report: LeakReport, found: QueryCheck, owners: Mapping[str, int]) -> Markup:
    query = report.query(found.id)
    if query is not None:
        return query_section(query, owners)
    return section(
        f"query-{found.id}",
        f"Query {found.id}",
        _banner("REFUSED.", found.refusal or ""),
        element("p", None, found.hint or ""),
        element("pre", None, found.sql.strip("\n")),
    )


def _key(key: KeyCheck) -> Markup:
    terms: list[tuple[str, Child]] = [
        ("Kind", code(key.kind)),
        ("For", listed(key.uses)),
        ("Used by", f"{', '.join(key.used_by)}; {key.bounds}"),
        ("Every use is approved by", listed(key.approved_by) if key.approved_by else "nobody"),
    ]
    heading = f"Key {key.id}, made by the enclave and kept there"
    return section(f"key-{key.id}", heading, facts(terms), bullets(key.lets, "findings"))


def _grants(dataset: DatasetGrants, owners: Mapping[str, int]) -> Markup:
    uses = dataset.uses
    rows: list[list[Child]] = [
        [_column(column), column.type, *(_cell(column, use) for use in uses)] for column in dataset.columns
    ]
    name = f"{dataset.owner}: {dataset.dataset}"
    swatch = element("span", {"class": f"owner {svg.colour(owners[dataset.owner])}", "aria-hidden": "true"})
    heading = element("h3", {"id": f"grants-{dataset.dataset}"}, swatch, name)
    what = f"Columns of {dataset.dataset} and the uses that {dataset.owner} grants"
    matrix = table(what, ["Column", "Type", *uses], rows, "matrix")
    return element("div", None, heading, bullets(dataset.rules), matrix)


def _key_services(report: LeakReport) -> Iterator[Markup]:
    """What its owner may leave behind for enclaves that come later, and what enclaves may."""
    under_keys = [
        element(
            "div", None, element("h3", None, f"{dataset.owner}: {dataset.id}"), bullets(dataset.under_key)
        )
        for dataset in report.check.datasets
        if dataset.under_key
    ]
    if report.check.state is not None:
        under_keys.append(
            element("div", None, element("h3", None, "State of enclaves"), bullets([report.check.state]))
        )
    if under_keys:
        yield section("keys", "What may wait under keys in KMS", *under_keys)


def _column(column: ColumnGrants) -> list[Child]:
    marks = (("unit", column.is_unit), ("key", column.is_key))
    return [
        code(column.column),
        *(element("span", {"class": "mark"}, name) for name, holds in marks if holds),
    ]


def _cell(column: ColumnGrants, use: str) -> Markup:
    for grant in column.grants:
        if grant.use == use:
            if grant.queries:
                return element("span", {"class": "used", "title": grant.rule}, listed(grant.queries))
            return element("span", {"class": "idle", "title": grant.rule}, "granted, not used")
    return element("span", {"class": "none"}, "no")


def _closing(report: LeakReport) -> Markup:
    def sentences() -> Iterator[str]:
        yield f"Made at {time_text(int(report.check.validity.now.timestamp()))}, by this computer's clock."
        yield "Whoever holds the same agreement gets the same report, but for the time and the roots."

    return element("footer", {"class": "small"}, *(element("p", None, text) for text in sentences()))
