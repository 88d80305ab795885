"""What three banks reported: made up, the same on every machine.

Each bank knows `rows` of the same 2 `rows` receiving accounts, so about a quarter of its list is known to all
three. Two schemes are so rare that the accounts shared under them are fewer than a threshold.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

SEED: Final = 31_07
BANKS: Final = ("alder", "birch", "cedar")
SCHEMES: Final = ("courier", "deposit", "invoice", "marketplace", "romance", "inheritance", "sim swap")
_SHARES: Final = (0.2, 0.15, 0.25, 0.2494, 0.15, 0.0002, 0.0004)
_UNKNOWN_LOSS_SHARE: Final = 0.05


def tables(rows: int) -> dict[str, pa.Table]:
    """Dataset id to its table, `rows` accounts each. Only alder says which scheme an account served."""
    random = np.random.Generator(np.random.PCG64(SEED))
    reports = {f"{bank}_reports": _reports(rows, random) for bank in BANKS}
    schemes = random.choice(len(SCHEMES), size=rows, p=_SHARES)
    alder = reports["alder_reports"]
    reports["alder_reports"] = alder.add_column(1, "scheme", pa.array(SCHEMES).take(schemes))
    return reports


def _reports(rows: int, random: np.random.Generator) -> pa.Table:
    known = random.choice(2 * rows, size=rows, replace=False)
    cents = random.lognormal(mean=12, sigma=1.4, size=rows).astype(np.int64)
    return pa.table(
        {
            "account": [_account(int(number)) for number in known],
            "victims": pa.array(1 + random.geometric(0.4, size=rows)),
            "loss": _amounts(cents, unknown=random.random(rows) < _UNKNOWN_LOSS_SHARE),
        }
    )


def _account(number: int) -> str:
    """32 hexadecimal digits: how the banks write an account number in their list."""
    iban = f"XX{number % 97:02}CONC{number:016}"
    return hashlib.md5(iban.encode(), usedforsecurity=False).hexdigest()


def _amounts(cents: npt.NDArray[np.int64], *, unknown: npt.NDArray[np.bool_]) -> list[str | None]:
    """Amounts as a bank exports them: text with two decimals, nothing where the loss is not known yet."""
    return [
        None if missing else f"{amount // 100}.{amount % 100:02}"
        for amount, missing in zip(cents.tolist(), unknown.tolist(), strict=True)
    ]
