"""What is computed while processes die: two parties' rows, one query over both, and its answer in clear."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from party_client.identity import Identity
from protos.formats.agreement import Agreement, Limits
from protos.formats.participants import Release
from protos.formats.query import Query
from protos.formats.schema import Column, Dataset

VISITS, PURCHASES = "visits", "purchases"
QUERY: Final = "totals"
MAX_RUNS: Final = 3
THRESHOLD: Final = 20
ROWS: Final = 40_000
"""Visits. There are `_PURCHASES_PER_VISIT` times as many purchases, so that a run takes a moment."""
_PURCHASES_PER_VISIT: Final = 10
_NOTE_CHARACTERS: Final = 600
"""What makes a visit large, so that there are chunks to be interrupted between."""
_SQL: Final = """
SELECT v.segment AS segment, COUNT(*) AS purchases, SUM(p.amount) AS total
FROM visits AS v JOIN purchases AS p ON v.person = p.person
GROUP BY v.segment
"""


def people() -> tuple[Identity, ...]:
    """Fresh keys for two parties and an analyst."""
    return tuple(Identity.generate(name, name.title()) for name in ("publisher", "advertiser", "analyst"))


def agreement(identities: tuple[Identity, ...], release: Release) -> Agreement:
    """What they agree on."""
    publisher, advertiser, analyst = (identity.public.participant() for identity in identities)
    visits = (
        Column("person", "int64", nullable=False, uses=frozenset({"join"})),
        Column("segment", "text", nullable=False, uses=frozenset({"group"})),
        Column("note", "text", nullable=False, uses=frozenset()),
    )
    purchases = (
        Column("person", "int64", nullable=False, uses=frozenset({"join"})),
        Column("amount", "int64", nullable=True, uses=frozenset({"sum"})),
    )
    return Agreement(
        id="killed",
        title="Purchases by segment",
        purpose="To see what is left of a computation whose processes die",
        valid_from_s=1_600_000_000,
        valid_until_s=4_000_000_000,
        parties=(publisher, advertiser),
        analysts=(analyst,),
        datasets=(
            Dataset(VISITS, "publisher", visits, "person", THRESHOLD, ("person",), 10**6, 10**9),
            Dataset(PURCHASES, "advertiser", purchases, "person", THRESHOLD, (), 10**6, 10**9),
        ),
        queries=(Query(QUERY, _SQL, (), ("analyst",), ("analyst",), max_runs=MAX_RUNS),),
        releases=(release,),
        limits=Limits(memory_mib=1024, threads=2, max_runs=MAX_RUNS),
    )


def write_files(folders: dict[str, Path]) -> tuple[dict[str, Path], pd.DataFrame]:
    """The owners' files by dataset, and the rows that the query must release."""
    random = np.random.default_rng(2013)
    person = random.permutation(ROWS)
    segment = np.where(person < THRESHOLD // 2, "too few", np.char.add("segment ", (person % 7).astype(str)))
    letters = random.integers(ord("a"), ord("z") + 1, (ROWS, _NOTE_CHARACTERS), dtype=np.uint8)
    note = [row.tobytes().decode() for row in letters]
    visits = pd.DataFrame({"person": person, "segment": segment, "note": note})
    count = ROWS * _PURCHASES_PER_VISIT
    purchases = pd.DataFrame(
        {"person": random.integers(0, 2 * ROWS, count), "amount": random.integers(0, 10_000, count)}
    )
    files = {VISITS: folders["publisher"] / "visits.csv", PURCHASES: folders["advertiser"] / "purchases.csv"}
    visits.to_csv(files[VISITS], index=False)
    purchases.to_csv(files[PURCHASES], index=False)
    both = visits[["person", "segment"]].merge(purchases, on="person")
    groups = both[both["segment"] != "too few"].groupby("segment")["amount"]
    totals = groups.agg(purchases="count", total="sum").reset_index()
    return files, totals
