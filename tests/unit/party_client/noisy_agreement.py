"""The agreement of `tests.world` with a privacy budget for the publisher's people; for several tests."""

from __future__ import annotations

from dataclasses import replace

from protos.formats.agreement import Agreement
from protos.formats.privacy import PrivacyEntry, QueryNoise
from protos.formats.rules import Clamp, Rules
from tests import world

SEGMENTS = ("news", "sport", "travel")
RUNS = 3
SQL = """
SELECT v.segment AS segment, COUNT(*) AS purchases, SUM(p.amount) AS total, AVG(p.amount) AS mean
FROM visits AS v JOIN purchases AS p ON p.email = v.email
WHERE p.amount >= $least GROUP BY v.segment"""


def noisy(agreed: Agreement) -> Agreement:
    """One query with declared groups, three runs, and epsilon 2 over all of them."""
    meant = Rules(single_units=True, max_rows_per_unit=2)
    visits, purchases = (replace(dataset, threshold=1, rules=meant) for dataset in agreed.datasets)
    email, amount = purchases.columns
    amount = replace(amount, nullable=False, uses=frozenset({"filter", "sum", "avg"}), clamp=Clamp("0", "50"))
    purchases = replace(purchases, columns=(email, amount))
    query = world.query(sql=SQL, noise=QueryNoise("declared", (SEGMENTS,)), max_runs=RUNS)
    return replace(
        agreed,
        datasets=(visits, purchases),
        queries=(query,),
        privacy=(PrivacyEntry("publisher", "2", "0.000001", "gaussian"),),
    )
