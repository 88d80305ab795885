"""`concordat coordinator plan`: what an enclave of given data needs, where it fits, and what that costs."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from coordinator.launchers.image_file import require_image
from coordinator.launchers.nitro_host import ENCLAVES_MAX
from coordinator.plan.fit import ParentNeed, fits
from coordinator.plan.instances import ARCHITECTURES, SAMPLE, load_prices
from coordinator.plan.requirement import IMAGE_MIB, columns_bytes, need
from coordinator.plan.shown import as_json, show
from protos.formats.limits import MIB, THREADS_MAX

PARENT_VCPUS: Final = 2
PARENT_MEMORY_MIB: Final = 2048
"""The coordinator had 100 MiB in the benchmarks; the rest is the system and its page cache."""
_WIDTH_WITHOUT_TERMINAL: Final = 110
_DATASET: Final = re.compile(r"([1-9][0-9]{0,12})x([1-9][0-9]{0,6})")
_FILE: Final = click.Path(path_type=Path, dir_okay=False)


class _Dataset(click.ParamType[int]):
    """ROWSxBYTES, as bytes of columns."""

    name = "dataset"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The size in bytes."""
        found = _DATASET.fullmatch(str(value))
        if found is None:
            self.fail("expected ROWSxBYTES, rows and bytes of a row: 10000000x38", param, ctx)
        return columns_bytes(rows=int(found[1]), bytes_per_row=int(found[2]))


@click.command()
@click.option(
    "--dataset",
    "datasets",
    type=_Dataset(),
    multiple=True,
    metavar="ROWSxBYTES",
    help="A dataset: its rows, and bytes of a row as plain columns. Once for each.",
)
@click.option(
    "--data-mib",
    type=click.IntRange(min=1),
    multiple=True,
    metavar="MIB",
    help="A dataset by its size as plain columns. Once for each.",
)
@click.option("--image", type=_FILE, metavar="FILE", help=f"Enclave image; {IMAGE_MIB} MiB without one.")
@click.option(
    "--architecture",
    type=click.Choice(ARCHITECTURES),
    default=ARCHITECTURES[0],
    show_default=True,
    help="Processors of the image; its own word if one is given.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1, max=THREADS_MAX),
    default=2,
    show_default=True,
    metavar="N",
    help="The agreement's limit of threads.",
)
@click.option(
    "--enclaves",
    type=click.IntRange(min=1, max=ENCLAVES_MAX),
    default=1,
    show_default=True,
    metavar="N",
    help="How many such enclaves at once.",
)
@click.option(
    "--parent-vcpus",
    type=click.IntRange(min=1),
    default=PARENT_VCPUS,
    show_default=True,
    metavar="N",
    help="What the parent needs for itself.",
)
@click.option(
    "--parent-memory-mib",
    type=click.IntRange(min=512),
    default=PARENT_MEMORY_MIB,
    show_default=True,
    metavar="MIB",
    help="What the parent needs for itself.",
)
@click.option(
    "--prices", type=_FILE, metavar="FILE", help="Your instance types and prices; default: the dated sample."
)
@click.option("--show-sample", is_flag=True, help="Print the sample of --prices and end.")
@click.option("--json", "json_wanted", is_flag=True, help="As JSON.")
def plan(
    *,
    datasets: tuple[int, ...],
    data_mib: tuple[int, ...],
    image: Path | None,
    architecture: str,
    threads: int,
    enclaves: int,
    parent_vcpus: int,
    parent_memory_mib: int,
    prices: Path | None,
    show_sample: bool,
    json_wanted: bool,
) -> None:
    """Say what an enclave needs, where it fits and what it costs.

    Nothing is asked of AWS: instance types and prices are a file of yours. The sample that is used
    without one is dated and not kept up to date.

    \b
    Examples:
      concordat coordinator plan --dataset 10000000x38 --dataset 10000000x38
      concordat coordinator plan --data-mib 715 --image enclave.eif --json
      concordat coordinator plan --data-mib 715 --prices instances.toml
    """
    if show_sample:
        click.echo(SAMPLE.read_text(encoding="utf-8"), nl=False)
        return
    if not datasets and not data_mib:
        raise click.UsageError(
            "give the data's size: --dataset ROWSxBYTES or --data-mib MIB, for each dataset"
        )
    facts = require_image(image) if image else None
    needed = need(
        data_bytes=sum(datasets) + MIB * sum(data_mib),
        image_bytes=facts.size_bytes if facts else IMAGE_MIB * MIB,
        threads=threads,
    )
    file = load_prices(prices or SAMPLE)
    found = fits(
        file.types,
        needed,
        enclaves=enclaves,
        parent=ParentNeed(parent_vcpus, parent_memory_mib),
        architecture=facts.architecture if facts else architecture,
    )
    if json_wanted:
        click.echo(json.dumps(as_json(needed, found, file, enclaves=enclaves), indent=2))
    else:
        show(_console(), needed, found, file, enclaves=enclaves)


def _console() -> Console:
    """Plain text: nothing of a file can pretend to be formatting."""
    width = None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL
    return Console(file=sys.stdout, markup=False, highlight=False, emoji=False, width=width)
