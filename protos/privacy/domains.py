"""All keys of a declared domain: the groups that a result shows whether or not anybody is in them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Sequence
from typing import Final

from protos.formats.limits import NOISY_CELLS_MAX
from protos.privacy.errors import PrivacyParameterError

CELLS_MAX: Final = NOISY_CELLS_MAX
Key = tuple[Hashable, ...]
"""One value for each GROUP BY expression, in their order."""


def all_keys(domains: Sequence[Sequence[Hashable]]) -> list[Key]:
    """Every combination of one value out of each of `domains`, in their order; of no domains, one cell."""
    cells = math.prod(map(len, domains))
    if not 1 <= cells <= CELLS_MAX:
        raise PrivacyParameterError(
            f"the declared domains have {cells} combinations, expected from 1 to {CELLS_MAX}",
            hint="group by fewer columns, or declare fewer values",
        )
    for domain in domains:
        if len(set(domain)) != len(domain):
            raise PrivacyParameterError("a declared domain names a value twice")
    return list(itertools.product(*domains))
