"""How an agreement, its check, its differences and its approvals look on a screen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text

from party_client.agreements import Change
from party_client.agreements.checking import QueryCheck
from party_client.agreements.key_services import key_service_sentences, state_sentence
from party_client.agreements.keys_text import KeyCheck, key_checks
from party_client.agreements.noisy_queries import noise_terms
from party_client.agreements.plain_language import parameter_sentence, window_sentences
from party_client.agreements.privacy_budgets import owners_with_budget
from party_client.agreements.releases import AWS, EMULATOR, MEANINGS, quorum_sentence
from party_client.agreements.rules_text import rule_sentences
from party_client.agreements.signing import ApprovalStatus
from party_client.agreements.wording import LOOSER
from party_client.cli.leak_report_text import render_grants, render_observations, render_reach
from party_client.cli.noise_text import render_budget, render_preview
from party_client.cli.present import counted, printable, say, table
from party_client.identity import fingerprint
from party_client.leak_report import LeakReport, QueryReport
from party_client.times import time_text, validity_text
from protos.formats.agreement import Agreement
from protos.formats.query import Query
from protos.formats.schema import Dataset
from protos.release.roots import is_unsigned_emulator

_INDENT: Final = (0, 0, 0, 4)
_STYLES: Final = {"+": "green", "-": "red"}


def render_report(report: LeakReport, out: Console) -> None:
    """Everything that was found, in the order in which a person decides."""
    check = report.check
    agreement = check.agreement
    _heading(f"{agreement.id}: {agreement.title}", out)
    _fields(
        [
            ("purpose", agreement.purpose),
            ("digest", agreement.digest().hex()),
            ("time", f"{check.validity.state}: {check.validity.sentence}"),
            ("signed by", f"{', '.join(party.id for party in agreement.parties)} (all of them)"),
            ("enclave", f"{_limits(agreement)}; it writes {agreement.logged} to its console"),
        ],
        out,
    )
    _heading("Where it runs", out)
    for release in check.releases:
        style = "" if release.kind == AWS else "bold red"
        _line(f"  {release.kind}: {MEANINGS[release.kind]}", out, style=style)
        _fields(
            [
                ("release", release.name),
                ("PCR0", release.pcr0.hex()),
                ("root", release.root_sha256.hex()),
                ("valid", release.validity),
            ],
            out,
        )
    _fields([("changed by", check.releases_changed_by)], out)
    if check.state is not None:
        _fields([("state", check.state)], out)
    if check.budgets:
        _heading("Privacy budgets, for all runs of one enclave", out)
        for budget in check.budgets:
            render_budget(budget, out)
    for query in check.queries:
        _render_query_check(query, report.query(query.id), out)
    for key in check.keys:
        _render_key_check(key, out)
    if check.datasets:
        _heading("What each owner sends, sealed", out)
    for dataset, grants in zip(check.datasets, report.datasets, strict=True):
        _line(f"  {dataset.owner}: {dataset.id}, {len(dataset.used) + len(dataset.unused)} columns", out)
        _bullets((*dataset.rules, *dataset.under_key), out)
        render_grants(grants, out)
        if dataset.unused:
            _line(f"    used by no query, and better left out: {', '.join(dataset.unused)}", out)
    _heading("To keep in mind", out)
    _bullets(check.warnings, out)


def _render_query_check(query: QueryCheck, report: QueryReport | None, out: Console) -> None:
    _heading(f"Query {query.id}", out)
    _fields(
        [
            ("asked by", _asked_by(query.run_by, query.max_runs, query.windows)),
            *(("choosing", parameter) for parameter in query.parameters),
            ("received by", ", ".join(query.receivers)),
        ],
        out,
    )
    if report is None:
        _line(f"  REFUSED: {query.refusal}", out, style="bold red")
        if query.hint:
            _line(f"  {query.hint}", out)
        return
    if query.derived:
        _subheading("What it computes on the way, none of which leaves", out)
        _bullets(query.derived, out)
    _subheading("What leaves, row by row", out)
    _bullets(query.leaves, out)
    if report.noise is not None:
        _subheading("What is noisy, and which rows there are", out)
        _bullets(query.noise, out)
        _subheading("How far off one run will be", out)
        render_preview(report.noise, out)
    else:
        _render_thresholds(query, out)
    _render_uses(query, out)
    render_reach(report, out)
    render_observations(report, out)
    _subheading("What could still be worked out", out)
    _bullets(query.inferences, out)


def _render_key_check(key: KeyCheck, out: Console) -> None:
    _heading(f"Key {key.id}, made by the enclave and kept there", out)
    _fields(_key_terms(key), out)
    _subheading("What it lets people do", out)
    _bullets(key.lets, out)


def _key_terms(key: KeyCheck) -> list[tuple[str, str]]:
    return [
        ("kind", key.kind),
        ("for", ", ".join(key.uses)),
        ("used by", f"{', '.join(key.used_by)}; {key.bounds}"),
        ("approved by", ", ".join(key.approved_by) or "nobody"),
    ]


def _render_thresholds(query: QueryCheck, out: Console) -> None:
    if query.analysis == "list":
        _subheading("The whole list leaves only with all of these in it", out)
    else:
        _subheading("A row leaves only with all of these behind it; a figure with fewer is left blank", out)
    _bullets(
        (
            f"at least {item.required_units:,} distinct {item.dataset}.{item.unit} of {item.owner}"
            + (
                f" ({item.owner} asks for {item.asked_units:,})"
                if item.asked_units != item.required_units
                else ""
            )
            for item in query.thresholds
        ),
        out,
    )


def _render_uses(query: QueryCheck, out: Console) -> None:
    _subheading("What it does with whose columns, and the grant that lets it", out)
    rows: list[tuple[str, ...]] = []
    for owner, uses in groupby(query.uses, key=lambda use: use.owner):
        rows.append((f"{owner}:", "", "", ""))
        rows += [(f"  {use.dataset}.{use.column}", use.doing, use.use, "; ".join(use.places)) for use in uses]
    _indented(table(["", "", "grant", "in the SQL"], rows), out)


def render_agreement(agreement: Agreement, out: Console) -> None:
    """The whole agreement."""
    _heading(f"{agreement.id}: {agreement.title}", out)
    _fields(
        [
            ("purpose", agreement.purpose),
            ("digest", agreement.digest().hex()),
            ("valid", f"{time_text(agreement.valid_from_s)} until {time_text(agreement.valid_until_s)}"),
            ("limits", _limits(agreement)),
            ("logged", agreement.logged),
            *([("state", state)] if (state := state_sentence(agreement)) else []),
        ],
        out,
    )
    for title, people in (("Parties", agreement.parties), ("Analysts", agreement.analysts)):
        if people:
            _heading(title, out)
            rows = [(person.id, person.name, fingerprint(person)) for person in people]
            _indented(table(["id", "name", "fingerprint"], rows, whole={"fingerprint"}), out)
    for dataset in agreement.datasets:
        _render_dataset(dataset, out, has_budget=dataset.owner in owners_with_budget(agreement))
    for entry in agreement.privacy:
        _heading(f"Privacy budget of {entry.owner}", out)
        _fields(
            [
                ("epsilon", f"{entry.epsilon}, for all runs of one enclave"),
                ("delta", entry.delta),
                ("noise", entry.noise),
            ],
            out,
        )
    for query in agreement.queries:
        _render_query(query, out)
    for key, found in zip(agreement.keys, key_checks(agreement), strict=True):
        _heading(f"Key {key.id}", out)
        normalised = [] if key.normalise == "none" else [("normalised", key.normalise)]
        _fields([*_key_terms(found), *normalised], out)
    _heading("Enclave code", out)
    _fields([("changed by", quorum_sentence(agreement))], out)
    for release in agreement.releases:
        _heading(f"Release {release.name}", out)
        pcrs = [
            (f"PCR{index}", pcr.hex()) for index, pcr in enumerate((release.pcr0, release.pcr1, release.pcr2))
        ]
        valid = validity_text(release.valid_from_s, release.valid_until_s)
        _fields([*pcrs, ("root", release.root_sha256.hex()), ("valid", valid)], out)
        if is_unsigned_emulator(release):
            _line(f"  {EMULATOR}: {MEANINGS[EMULATOR]}", out, style="bold red")


def _render_dataset(dataset: Dataset, out: Console, *, has_budget: bool) -> None:
    _heading(f"Dataset {dataset.id} of {dataset.owner}", out)
    _fields(
        [
            ("protects", _protects(dataset, has_budget=has_budget)),
            ("unique", ", ".join(dataset.unique) or "no promise"),
            *(("rule", sentence) for sentence in rule_sentences(dataset, has_budget=has_budget)),
            *(("key in KMS", sentence) for sentence in key_service_sentences(dataset)),
            ("at most", f"{dataset.max_rows:,} rows, {dataset.max_bytes:,} bytes"),
        ],
        out,
    )
    rows = [
        (
            column.name,
            column.type + (" or null" if column.nullable else ""),
            ", ".join(sorted(column.uses)) or "none",
            "" if column.normalise == "none" else column.normalise,
        )
        for column in dataset.columns
    ]
    _indented(table(["column", "type", "may be used for", "normalised"], rows), out)


def _protects(dataset: Dataset, *, has_budget: bool) -> str:
    counted = "at least a noisy" if has_budget else "at least"
    return f"{dataset.privacy_unit}: {counted} {dataset.threshold:,} behind any row"


def _render_query(query: Query, out: Console) -> None:
    _heading(f"Query {query.id}", out)
    _fields(
        [
            ("asked by", _asked_by(query.run_by, query.max_runs, window_sentences(query))),
            ("received by", ", ".join(query.receivers)),
            *(("choosing", parameter_sentence(parameter)) for parameter in query.parameters),
            *([("joins", "many-to-many allowed")] if query.many_to_many else []),
            *(("noise", sentence) for sentence in noise_terms(query)),
        ],
        out,
    )
    _indented(Text(printable(query.sql.strip("\n")), style="cyan"), out)


def render_changes(changes: Sequence[Change], out: Console) -> None:
    """One line for each difference; what lets more happen stands out."""
    if not changes:
        _line("The two agreements are the same.", out)
    for change in changes:
        effect = f"  ({change.effect})" if change.effect else ""
        _line(f"{change.words}{effect}", out, style="bold red" if change.effect == LOOSER else "")
        for line in change.lines:
            _line(f"    {line}", out, style=_STYLES.get(line[:1], ""))


def render_approvals(agreement: Agreement, status: ApprovalStatus, out: Console, *, ignored: int = 0) -> None:
    """Who has signed and who has not."""
    signed = {approval.party: approval for approval in status.signed}
    rows = [
        (
            party.id,
            time_text(signed[party.id].signed_at_s) if party.id in signed else "MISSING",
            fingerprint(party),
        )
        for party in agreement.parties
    ]
    _line(f"{agreement.id}  {agreement.digest().hex()}", out)
    _indented(table(["party", "signed, by its own clock", "fingerprint"], rows, whole={"fingerprint"}), out)
    if ignored:
        _line(f"ignored: {counted(ignored, 'message')} pinned there, not genuine or one too many", out)
    _line("In force." if status.in_force else "Not in force: everybody has to sign.", out, style="bold")


def _asked_by(run_by: Iterable[str], max_runs: int, windows: Iterable[str]) -> str:
    return "; ".join([", ".join(run_by), f"at most {max_runs:,} times", *windows])


def _limits(agreement: Agreement) -> str:
    bounds = agreement.limits
    when = f"every {bounds.tick_s} s" if bounds.tick_s else "at once, so that their duration shows"
    return (
        f"{bounds.max_runs:,} runs in all, {bounds.memory_mib:,} MiB of memory, {bounds.threads} threads; "
        f"outcomes of runs are seen {when}"
    )


def _heading(text: str, out: Console) -> None:
    out.print()
    _line(text, out, style="bold")


def _subheading(text: str, out: Console) -> None:
    _line(f"  {text}:", out, style="italic")


def _line(text: str, out: Console, *, style: str = "") -> None:
    say(out, text, style=style)


def _fields(rows: Iterable[tuple[str, str]], out: Console) -> None:
    for name, value in rows:
        say(out, value, lead=f"  {name:<12}", lead_style="dim")


def _bullets(sentences: Iterable[str], out: Console) -> None:
    for sentence in sentences:
        _line(f"    - {sentence}", out)


def _indented(item: RenderableType, out: Console) -> None:
    out.print(Padding(item, _INDENT, expand=False))
