"""Which scenarios there are, and what each consists of: an agreement, data, and the answer in clear.

Who owns, runs and receives what is read from the scenario's own agreement, so that it stands in one place.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from scenarios.banks import data as banks_data
from scenarios.banks import expected as banks_expected
from scenarios.campaign import data as campaign_data
from scenarios.campaign import expected as campaign_expected
from scenarios.clinic import data as clinic_data
from scenarios.clinic import expected as clinic_expected
from scenarios.files import write_table
from scenarios.flights import data as flights_data
from scenarios.flights import expected as flights_expected
from scenarios.offline_parties import data as offline_data
from scenarios.offline_parties import expected as offline_expected

AGREEMENT_FILE: Final = "agreement.toml"
Parameters = Mapping[str, int | str]


@dataclass(frozen=True)
class Scenario:
    """One joint computation that can be run from start to end on one machine."""

    name: str
    question: str
    """What is asked, in one sentence for people."""
    people: Mapping[str, str]
    """Everybody of the agreement, parties first: id to display name."""
    files: Mapping[str, str]
    """Dataset id to the name of the file its owner sends; the suffix decides the format."""
    rows: int
    """How many rows the large datasets have unless somebody asks for another number."""
    tables: Callable[[int], dict[str, pa.Table]]
    """Makes the data: rows to dataset id to table; the same rows give the same bytes."""
    answer: Callable[[Mapping[str, Path], Parameters], pd.DataFrame]
    """Computes the released rows in clear, from the files (by dataset id) and the parameters.

    Where the query has noise, the exact rows that are under it.
    """
    parameters: Parameters = field(default_factory=dict)

    @property
    def agreement_file(self) -> Path:
        """The agreement as people write it."""
        return Path(__file__).parent / self.name.replace("-", "_") / AGREEMENT_FILE

    @cached_property
    def agreement(self) -> dict[str, Any]:
        """The agreement's TOML, parsed."""
        return tomllib.loads(self.agreement_file.read_text(encoding="utf-8"))

    @property
    def parties(self) -> list[str]:
        """Ids of those who sign, in the agreement's order."""
        return [Path(party["identity"]).stem for party in self.agreement["parties"]]

    @property
    def owners(self) -> dict[str, str]:
        """Dataset id to its owner's id."""
        return {dataset["id"]: dataset["owner"] for dataset in self.agreement["datasets"]}

    @property
    def key_services(self) -> dict[str, dict[str, str]]:
        """Owner's id to its KMS as the agreement names it; empty where keys are the enclave's own."""
        return {item["owner"]: item["kms"] for item in self.agreement["datasets"] if "kms" in item}

    @property
    def query(self) -> str:
        """The id of the query that is run: the agreement's first."""
        return str(self.agreement["queries"][0]["id"])

    @property
    def is_noisy(self) -> bool:
        """Whether an owner lets no exact result of its data leave."""
        return "noise" in self.agreement["queries"][0]

    @property
    def asker(self) -> str:
        """Who asks for the run."""
        return str(self.agreement["queries"][0]["run_by"][0])

    @property
    def receivers(self) -> list[str]:
        """Who receives the result."""
        return [str(receiver) for receiver in self.agreement["queries"][0]["receivers"]]

    def write(self, folders: Mapping[str, Path], *, rows: int | None = None) -> dict[str, Path]:
        """Writes every dataset into the folder of its owner (by id); the files by dataset id."""
        written = {}
        for dataset, table in self.tables(self.rows if rows is None else rows).items():
            written[dataset] = folders[self.owners[dataset]] / self.files[dataset]
            write_table(table, written[dataset])
        return written


FLIGHTS: Final = Scenario(
    name="flights",
    question="Do older aircraft leave later than newer ones when the wind is strong?",
    people={
        "airline": "Airline",
        "weather_service": "Weather service",
        "registry": "Aircraft registry",
        "analyst": "Analyst",
    },
    files={"flights": "flights.parquet", "weather": "weather.csv", "planes": "planes.csv"},
    rows=flights_data.FLIGHTS_MAX_ROWS,
    tables=flights_data.tables,
    answer=flights_expected.answer,
    parameters={"min_distance_miles": 200},
)
CAMPAIGN: Final = Scenario(
    name="campaign",
    question="What did people buy who were shown advertisement A, B or none?",
    people={"publisher": "Publisher", "advertiser": "Advertiser", "agency": "Media agency"},
    files={"audience": "audience.csv", "orders": "orders.parquet"},
    rows=1_000_000,
    tables=campaign_data.tables,
    answer=campaign_expected.answer,
)
BANKS: Final = Scenario(
    name="banks",
    question="Which fraud schemes use accounts that all three banks know, and what do they cost?",
    people={"alder": "Alder Bank", "birch": "Birch Bank", "cedar": "Cedar Bank"},
    files={f"{bank}_reports": f"{bank}_reports.csv" for bank in banks_data.BANKS},
    rows=200_000,
    tables=banks_data.tables,
    answer=banks_expected.answer,
)
CLINIC: Final = Scenario(
    name="clinic",
    question="Do members of a care programme spend fewer days in hospital?",
    people={"hospital": "Hospital", "insurer": "Health insurer", "ministry": "Ministry of health"},
    files={"stays": "stays.csv", "members": "members.csv"},
    rows=200_000,
    tables=clinic_data.tables,
    answer=clinic_expected.answer,
)
OFFLINE_PARTIES: Final = Scenario(
    name="offline-parties",
    question="Do renovated homes use less power?",
    people={"utility": "Power utility", "housing": "Housing association", "city": "City climate office"},
    files={"consumption": "consumption.parquet", "homes": "homes.csv"},
    rows=100_000,
    tables=offline_data.tables,
    answer=offline_expected.answer,
)
SCENARIOS: Final[Mapping[str, Scenario]] = {
    item.name: item for item in (FLIGHTS, CAMPAIGN, BANKS, CLINIC, OFFLINE_PARTIES)
}
