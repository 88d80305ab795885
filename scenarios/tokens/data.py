"""Customers of the shop and members of the insurer: made up, the same on every machine.

Each has `rows` addresses out of the same 2 `rows`, so about a half of each is known to both. The insurer
writes addresses as people typed them, in capitals and with blanks around; a few of the shop's customers gave
none.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

SEED: Final = 7_11
SEGMENTS: Final = ("garden", "kitchen", "toys")
PRODUCTS: Final = ("home", "travel")
_NO_ADDRESS_SHARE: Final = 0.01


def tables(rows: int) -> dict[str, pa.Table]:
    """Dataset id to its table, `rows` addresses each."""
    random = np.random.Generator(np.random.PCG64(SEED))
    shop, insurer = (random.choice(2 * rows, size=rows, replace=False) for _ in range(2))
    given = random.random(rows) >= _NO_ADDRESS_SHARE
    customers = [address(int(number)) if has else None for number, has in zip(shop, given, strict=True)]
    members = [f" {address(int(number)).upper()} " for number in insurer]
    return {
        "customers": pa.table(
            {
                "email": pa.array(customers, pa.string()),
                "segment": pa.array(SEGMENTS).take(random.integers(len(SEGMENTS), size=rows)),
            }
        ),
        "members": pa.table(
            {
                "mail": members,
                "product": pa.array(PRODUCTS).take(random.integers(len(PRODUCTS), size=rows)),
            }
        ),
    }


def address(number: int) -> str:
    """Of person `number`."""
    return f"person{number:07}@example.org"
