"""What a run with noise shows beside the values: nothing that follows from exact numbers, but for times.

Every sentence describes something that the enclave does for such a query; see `docs/privacy.md`, "What must
not leave beside it".
"""

from __future__ import annotations

from collections.abc import Iterator

from protos.plan import Plan
from protos.plan.plan import Noise

NOT_COMPARED = (
    "Rows are not compared with those of earlier releases: what leaves does not depend on what ran before. "
    "Instead every run is charged to the privacy budgets."
)
NOISY_RECEIPT = (
    "The receipt is signed but not sealed: who can see it reads which query ran, with which choices, who "
    "asked, and what the run cost each privacy budget. It names the rules that can hold something back, and "
    "never says whether or how much they did."
)


def noisy_suppression(plan: Plan, noise: Noise) -> Iterator[str]:
    """What can be missing."""
    if noise.domains is None:
        yield (
            "A group with too small a noisy number of units is missing, and so is one that nobody is in; "
            "which of the two is not told, nor how many are missing."
        )
    elif plan.groups:
        yield (
            "No row is ever missing: every declared group is there, with noise where nobody is in it. How "
            "many rows of the data had other values is not told."
        )


def noisy_blanks(noise: Noise) -> Iterator[str]:
    """Which figures can be blank."""
    if noise.value_floors or (noise.row_floors and noise.domains is not None):
        yield (
            f"A figure is blank when the noisy number of units behind it is below {noise.required_units:,}. "
            "That follows from noisy numbers alone."
        )
    if any(output.kind == "mean" for output in noise.plan.outputs):
        yield "An average is blank when its noisy number of rows is below 1."


def noisy_rows(plan: Plan, noise: Noise) -> str:
    """What the number of rows says."""
    if noise.domains is None:
        return "How many groups passed, each by a noisy number: not how many there are."
    cells = 1
    for domain in noise.domains:
        cells *= len(domain)
    return f"Always {cells:,}, whatever the data is." if plan.groups else "Always one."


def noisy_size(noise: Noise) -> str:
    """What is added about the size of the result."""
    return (
        "It follows from the rows that are shown, whose number is agreed."
        if noise.domains is not None
        else "It follows from the rows that are shown."
    )
