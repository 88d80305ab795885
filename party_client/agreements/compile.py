"""From the TOML that people write to the one agreement that they sign.

`compile_toml` reads the file and the identities and releases that it names, and returns an `Agreement` whose
canonical bytes decode to itself: two parties that compile the same text get the same digest, whatever their
editor does to line ends. Every mistake is an `AgreementError` that names file, table and key, or an
`IdentityFileError`, or an `EmulatorMixedError`. The package's docstring shows every key.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from party_client.agreements.errors import AgreementTextError
from party_client.agreements.key_services import read_kms, read_state
from party_client.agreements.keys_text import read_key
from party_client.agreements.privacy_text import read_noise, read_privacy
from party_client.agreements.release_text import read_releases
from party_client.agreements.rules_text import RULE_KEYS, read_clamp, read_rules
from party_client.agreements.table import Table, located
from party_client.agreements.toml_file import read_toml
from party_client.attestation.emulator import require_unmixed
from party_client.identity import PublicIdentity
from protos.formats.agreement import Agreement, Limits
from protos.formats.participants import Participant
from protos.formats.query import Parameter, Query
from protos.formats.schema import Column, Dataset

_AGREEMENT_KEYS: Final = (
    *("id", "title", "purpose", "valid_from", "valid_until", "limits"),
    *("parties", "releases"),
)
_AGREEMENT_OPTIONS: Final = (
    *("analysts", "datasets", "keys", "logged", "privacy", "queries", "release_quorum", "state"),
)
_QUERY_OPTIONS: Final = ("parameters", "many_to_many", "per_day", "per_week", "per_month", "noise")
DEFAULT_TICK_S: Final = 1
"""Who wants outcomes at once has to say so: how long a run took is about the data."""


def compile_toml(path: Path) -> Agreement:
    """The agreement in the TOML file at `path`; files it names are relative to its folder."""
    top = Table(read_toml(path), path.name, required=_AGREEMENT_KEYS, optional=_AGREEMENT_OPTIONS)
    folder = path.parent
    parties = tuple(_participant(place, value, folder) for place, value in top.tables("parties"))
    analysts = tuple(_participant(place, value, folder) for place, value in top.tables("analysts"))
    datasets = tuple(_dataset(place, value, folder) for place, value in top.tables("datasets"))
    queries = tuple(_query(place, value) for place, value in top.tables("queries"))
    releases = tuple(
        release for place, value in top.tables("releases") for release in read_releases(place, value, folder)
    )
    require_unmixed(releases)
    keys = tuple(read_key(place, value) for place, value in top.tables("keys"))
    privacy = tuple(read_privacy(place, value) for place, value in top.tables("privacy"))
    bounds = _limits(f"{path.name}: [limits]", dict(top.items("limits")))
    has_state = "state" in top
    state = read_state(f"{path.name}: [state]", dict(top.items("state")), folder) if has_state else None
    with located(path.name):
        agreement = Agreement(
            id=top.text("id"),
            title=top.text("title"),
            purpose=top.text("purpose"),
            valid_from_s=top.seconds("valid_from"),
            valid_until_s=top.seconds("valid_until"),
            parties=parties,
            analysts=analysts,
            datasets=datasets,
            queries=queries,
            releases=releases,
            limits=bounds,
            logged=top.text("logged", "nothing"),
            privacy=privacy,
            release_quorum=top.integer("release_quorum") if "release_quorum" in top else None,
            state=state,
            keys=keys,
        )
        # Some bounds are checked when bytes are read. Whoever gets these bytes must be able to read them.
        return Agreement.decode_untrusted(agreement.encode())


def _participant(place: str, value: object, folder: Path) -> Participant:
    table = Table(value, place, required=("identity",))
    return PublicIdentity.load(folder / table.text("identity")).participant()


def _limits(place: str, value: object) -> Limits:
    table = Table(value, place, required=("memory_mib", "threads", "max_runs"), optional=("tick_s",))
    with located(place, "limits"):
        return Limits(
            memory_mib=table.integer("memory_mib"),
            threads=table.integer("threads"),
            max_runs=table.integer("max_runs"),
            tick_s=table.integer("tick_s", DEFAULT_TICK_S),
        )


def _dataset(place: str, value: object, folder: Path) -> Dataset:
    required = ("id", "owner", "privacy_unit", "threshold", "max_rows", "max_bytes", "columns")
    table = Table(value, place, required=required, optional=("unique", "kms", *RULE_KEYS))
    columns = tuple(_column(place, name, column) for name, column in table.items("columns"))
    with located(place, f"dataset {table.text('id')}"):
        return Dataset(
            id=table.text("id"),
            owner=table.text("owner"),
            columns=columns,
            privacy_unit=table.text("privacy_unit"),
            threshold=table.integer("threshold"),
            unique=table.texts("unique"),
            max_rows=table.integer("max_rows"),
            max_bytes=table.integer("max_bytes"),
            rules=read_rules(place, table),
            kms=read_kms(place, table, folder),
        )


def _column(place: str, name: str, value: object) -> Column:
    place = f"{place}, column {name}"
    table = Table(value, place, required=("type",), optional=("nullable", "uses", "normalise", "clamp"))
    with located(place, f"column {name}"):
        return Column(
            name=name,
            type=table.text("type"),
            nullable=table.flag("nullable"),
            uses=frozenset(table.text_set("uses")),
            normalise=table.text("normalise", "none"),
            clamp=read_clamp(place, table),
        )


def _query(place: str, value: object) -> Query:
    required = ("id", "sql", "run_by", "receivers", "max_runs")
    table = Table(value, place, required=required, optional=_QUERY_OPTIONS)
    parameters = tuple(_parameter(where, parameter) for where, parameter in table.tables("parameters"))
    if "\t" in table.text("sql"):
        raise AgreementTextError(f"{place}: `sql` has a tab in it", hint="indent with spaces")
    with located(place, f"query {table.text('id')}"):
        return Query(
            id=table.text("id"),
            sql=table.text("sql"),
            parameters=parameters,
            run_by=table.text_set("run_by"),
            receivers=table.text_set("receivers"),
            max_runs=table.integer("max_runs"),
            many_to_many=table.flag("many_to_many"),
            per_day=table.integer("per_day") if "per_day" in table else None,
            per_week=table.integer("per_week") if "per_week" in table else None,
            per_month=table.integer("per_month") if "per_month" in table else None,
            noise=read_noise(place, table),
        )


def _parameter(place: str, value: object) -> Parameter:
    table = Table(value, place, required=("name",), optional=("low", "high", "choices"))
    with located(place, f"parameter {table.text('name')}"):
        return Parameter(
            name=table.text("name"),
            low=table.bound("low") if "low" in table else None,
            high=table.bound("high") if "high" in table else None,
            choices=table.text_set("choices"),
        )
