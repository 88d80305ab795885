"""The user's file of EC2 instance types and their prices, read strictly.

A TOML file that the user keeps: types, sizes and prices change, and differ by region and contract. A sample
is shipped beside this module, dated, and not kept up to date. What the file does not say is not assumed.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from coordinator.errors import PriceFileError
from protos.formats.limits import KIB

SAMPLE: Final = Path(__file__).with_name("instances.sample.toml")
_FILE_MAX_BYTES: Final = 256 * KIB
_TYPES_MAX: Final = 2000
_TEXT_MAX_CHARACTERS: Final = 200
ARCHITECTURES: Final = ("x86_64", "aarch64")


@dataclass(frozen=True)
class InstanceType:
    """One type that can be had."""

    name: str
    architecture: str
    vcpus: int
    threads_per_core: int
    """2 with hyperthreads, 1 without: an enclave has whole cores."""
    memory_gib: int
    numa_nodes: int
    """An enclave's memory and processors are of one node."""
    enclaves: bool
    """Whether it can hold enclaves: `aws ec2 describe-instance-types` says so (NitroEnclavesSupport)."""
    price_per_hour: Decimal

    @property
    def memory_mib(self) -> int:
        """Memory by AWS's list; the system sees somewhat less."""
        return self.memory_gib * KIB


@dataclass(frozen=True)
class PriceFile:
    """What can be had, at which prices."""

    dated: date
    region: str
    currency: str
    source: str
    types: tuple[InstanceType, ...]


def load_prices(path: Path) -> PriceFile:
    """Read the file. Raises `PriceFileError`."""
    try:
        with path.open("rb") as file:
            text = file.read(_FILE_MAX_BYTES + 1)
    except OSError as error:
        raise _refused(f"{path}: {error.strerror}") from error
    return parse_prices_untrusted(text)


def parse_prices_untrusted(text: bytes) -> PriceFile:
    """The file's content. Raises `PriceFileError`."""
    if len(text) > _FILE_MAX_BYTES:
        raise _refused(f"expected at most {_FILE_MAX_BYTES} bytes")
    try:
        found = tomllib.loads(text.decode("utf-8"), parse_float=Decimal)
    except (ValueError, RecursionError, ArithmeticError) as error:
        raise _refused("not TOML") from error
    _require_keys(found, {"dated", "region", "currency", "source", "instances"}, "the file")
    instances = found["instances"]
    if not isinstance(instances, list) or not 1 <= len(instances) <= _TYPES_MAX:
        raise _refused(f"[[instances]]: expected 1 to {_TYPES_MAX}")
    if type(found["dated"]) is not date:
        raise _refused("dated: expected a date, as in 2026-01-31")
    types = tuple(_instance(instance, number) for number, instance in enumerate(instances, 1))
    if len({each.name for each in types}) != len(types):
        raise _refused("[[instances]]: a name stands there twice")
    region, currency, source = (_text(found, key, "the file") for key in ("region", "currency", "source"))
    return PriceFile(found["dated"], region, currency, source, types)


def _instance(value: Any, number: int) -> InstanceType:
    what = f"[[instances]] number {number}"
    if not isinstance(value, dict):
        raise _refused(f"{what}: expected a table")
    _require_keys(value, {each.name for each in fields(InstanceType)}, what)
    if value["architecture"] not in ARCHITECTURES:
        raise _refused(f"{what}: architecture: expected one of {', '.join(ARCHITECTURES)}")
    if type(value["enclaves"]) is not bool:
        raise _refused(f"{what}: enclaves: expected true or false")
    made = InstanceType(
        name=_text(value, "name", what),
        architecture=value["architecture"],
        vcpus=_number(value, "vcpus", what, most=1024),
        threads_per_core=_number(value, "threads_per_core", what, most=8),
        memory_gib=_number(value, "memory_gib", what, most=2**20),
        numa_nodes=_number(value, "numa_nodes", what, most=64),
        enclaves=value["enclaves"],
        price_per_hour=_price(value, what),
    )
    if made.vcpus % (made.threads_per_core * made.numa_nodes):
        raise _refused(f"{what}: vcpus is not a multiple of threads_per_core and numa_nodes")
    return made


def _require_keys(value: dict[str, Any], expected: set[str], what: str) -> None:
    if set(value) != expected:
        missing, unknown = sorted(expected - set(value)), sorted(set(value) - expected)
        said = [f"{', '.join(missing)} missing"] if missing else []
        said += [f"{len(unknown)} keys not known"] if unknown else []
        raise _refused(f"{what}: {'; '.join(said)}")


def _text(value: dict[str, Any], key: str, what: str) -> str:
    found = value[key]
    if not isinstance(found, str) or not 1 <= len(found) <= _TEXT_MAX_CHARACTERS or not found.isprintable():
        raise _refused(f"{what}: {key}: expected a text of 1 to {_TEXT_MAX_CHARACTERS} characters")
    return found


def _number(value: dict[str, Any], key: str, what: str, *, most: int) -> int:
    found = value[key]
    if type(found) is not int or not 1 <= found <= most:
        raise _refused(f"{what}: {key}: expected a whole number from 1 to {most}")
    return found


def _price(value: dict[str, Any], what: str) -> Decimal:
    found = value["price_per_hour"]
    if type(found) not in (int, Decimal) or not Decimal(found).is_finite() or not 0 <= found < 10**6:
        raise _refused(f"{what}: price_per_hour: expected a number from 0")
    return Decimal(found)


def _refused(problem: str) -> PriceFileError:
    return PriceFileError(
        f"instance types and prices: {problem}",
        hint=f"begin with the sample: concordat coordinator plan --show-sample > {SAMPLE.name}",
    )
