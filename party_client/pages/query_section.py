"""One query in the leak report's page: pictures, and every fact of its report in tables and lists."""

from __future__ import annotations

from collections.abc import Mapping

from party_client.leak_report.report import QueryReport, Stake
from party_client.pages import svg
from party_client.pages.document import bullets, code, facts, figure, listed, section, table
from party_client.pages.flow_picture import flow_picture
from party_client.pages.markup import Child, Markup, element
from party_client.pages.noise_section import noise_part
from party_client.pages.run_budget_picture import run_budget_picture
from party_client.pages.suppression_picture import DRAWN_MOST, suppression_picture


def query_section(query: QueryReport, owners: Mapping[str, int]) -> Markup:
    """The whole account of one query; `owners` gives every owner the number of its colour."""
    found, name = query.check, query.check.id
    chosen = bullets(found.parameters, "bare") if found.parameters else "nothing"
    return element(
        "div",
        {"class": "query"},
        section(
            f"query-{name}",
            f"Query {name}",
            facts(
                [
                    ("Asked by", listed(found.run_by)),
                    ("Received by", listed(found.receivers)),
                    ("A run may choose", chosen),
                    (
                        "Runs at most",
                        "; ".join([f"{query.budget.runs:,} {query.budget.within}", *found.windows]),
                    ),
                ]
            ),
            _part(name, "flow", "Whose columns flow where", _flow(query, owners)),
            *_on_the_way(name, found.derived),
            _part(
                name, "leaves", "What leaves, row by row", bullets([_output(text) for text in found.leaves])
            ),
            *_noise(name, query),
            _part(name, "inferred", "What could still be worked out", bullets(found.inferences, "findings")),
            _part(name, "reach", "Who is counted, and how far one of them reaches", *_reach(query, owners)),
            *([] if query.noise is not None else [_held(name, query, owners)]),
            _part(name, "runs", "What runs add up to", *_budget(query)),
            _part(name, "beside", "What a run shows beside the values", _observations(query)),
            _part(name, "uses", "Every use of a column, and the grant that lets it", _uses(query, owners)),
            _part(name, "sql", "The query as it was agreed", element("pre", None, found.sql.strip("\n"))),
        ),
    )


def _part(query: str, part: str, heading: str, *content: Child) -> Markup:
    return section(f"query-{query}-{part}", heading, *content, level=3)


def _on_the_way(query: str, derived: tuple[str, ...]) -> list[Markup]:
    heading = "What it computes on the way, none of which leaves"
    return [_part(query, "derived", heading, bullets(derived))] if derived else []


def _held(name: str, query: QueryReport, owners: Mapping[str, int]) -> Markup:
    return _part(name, "held", "What is held back", _suppression(query, owners))


def _noise(name: str, query: QueryReport) -> list[Markup]:
    if query.noise is None:
        return []
    return [
        _part(name, "noise", "What is noisy, and by how much", *noise_part(query.check.noise, query.noise))
    ]


def _flow(query: QueryReport, owners: Mapping[str, int]) -> Markup:
    caption = (
        "A line carries a column, in the colour of its owner. Lines that end in a box only decide which rows "
        f"count; lines that go on become a column of the result, past the bar. {query.flow.passing}"
    )
    picture = flow_picture(query.flow, query.check.id, owners)
    return figure(picture, caption, f"Picture of the flow of query {query.check.id}")


def _output(sentence: str) -> Child:
    name, space, meaning = sentence.partition(" ")
    return [code(name), space, meaning]


def _reach(query: QueryReport, owners: Mapping[str, int]) -> list[Child]:
    rows: list[list[Child]] = [
        [
            _owner(stake, owners),
            f"{stake.required_units:,}"
            + (f" (asks for {stake.asked_units:,})" if stake.asked_units != stake.required_units else ""),
            f"{stake.fan_out.row_reaches_rows:,}",
            f"{stake.fan_out.unit_has_rows:,}",
            f"{stake.fan_out.unit_reaches_rows:,}",
            f"{stake.fan_out.unit_reaches_groups:,}",
        ]
        for stake in query.stakes
    ]
    columns = [
        *("Unit that is counted", "Units behind every row", "Joined rows that one row is behind"),
        *(
            "Rows of one unit",
            "Joined rows that one unit is behind",
            "Rows of the result that one unit is in",
        ),
    ]
    because = dict.fromkeys(reason for stake in query.stakes for reason in stake.fan_out.because)
    return [
        table("How far one row and one unit reach at most", columns, rows, "numbers"),
        element(
            "p", {"class": "small"}, "Upper bounds, whatever the data is; conditions are left out of them:"
        ),
        element("div", {"class": "small"}, bullets(list(because))),
    ]


def _owner(stake: Stake, owners: Mapping[str, int]) -> list[Child]:
    swatch = element("span", {"class": f"owner {svg.colour(owners[stake.owner])}", "aria-hidden": "true"})
    return [swatch, code(f"{stake.dataset}.{stake.unit}"), f" of {stake.owner}"]


def _suppression(query: QueryReport, owners: Mapping[str, int]) -> Markup:
    required = query.flow.required_units
    what = "The list" if query.check.analysis == "list" else "A row of the result"
    caption = (
        f"Illustration with made-up groups, not with anybody's data. {what} leaves only if at least "
        f"{required:,} different units of every owner are behind it: one owner's many never make up for "
        "another's few."
    )
    if len(query.stakes) > DRAWN_MOST:
        caption += f" Here are the first {DRAWN_MOST} of {len(query.stakes):,} datasets."
    picture = suppression_picture(query.stakes, query.check.id, owners)
    return figure(picture, caption, f"Picture of the threshold of query {query.check.id}")


def _budget(query: QueryReport) -> list[Child]:
    ways = "in one way" if query.budget.choices == 1 else f"in {query.budget.choices:,} ways"
    caption = (
        f"Over the runs {query.budget.within}. One run can be chosen {ways}, so all runs together have at "
        f"most {query.budget.different_results:,} different results."
    )
    picture = run_budget_picture(query.budget, query.check.id)
    shown = figure(picture, caption, f"Charts of the runs of query {query.check.id}")
    return [shown, bullets(query.budget.sentences, "findings")]


def _observations(query: QueryReport) -> Markup:
    rows: list[list[Child]] = [
        [item.topic, listed(item.seen_by), item.sentence] for item in query.observations
    ]
    columns = ["What", "Who sees it", "What it says"]
    return table("What a run shows beside the values", columns, rows)


def _uses(query: QueryReport, owners: Mapping[str, int]) -> Markup:
    rows: list[list[Child]] = []
    for stake in query.stakes:
        swatch = element("span", {"class": f"owner {svg.colour(owners[stake.owner])}", "aria-hidden": "true"})
        rows += [
            [[swatch, code(f"{use.dataset}.{use.column}")], use.doing, use.rule, "; ".join(use.places)]
            for use in stake.uses
        ]
    columns = ["Column", "What is done with it", "The owner's grant", "In the SQL"]
    return table("Every use of a column", columns, rows)
