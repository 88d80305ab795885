from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from coordinator.cli import group
from coordinator.errors import PriceFileError
from coordinator.launchers.allocator import parse_allocator_untrusted
from coordinator.launchers.nitro_host import EnclaveSize
from coordinator.plan.fit import HOURS_PER_MONTH, Fit, Fits, ParentNeed, fits
from coordinator.plan.instances import SAMPLE, InstanceType, load_prices, parse_prices_untrusted
from coordinator.plan.requirement import Need, need
from tests.unit.coordinator.emulator_stand_in import image_file

MIB = 1024 * 1024
PARENT = ParentNeed(vcpus=2, memory_mib=2048)
XLARGE = InstanceType("a.xlarge", "x86_64", 4, 2, 8, 1, enclaves=True, price_per_hour=Decimal("0.17"))
LARGE = replace(
    XLARGE, name="a.large", vcpus=2, memory_gib=4, enclaves=False, price_per_hour=Decimal("0.085")
)
HEAD = 'dated = 2026-01-31\nregion = "r"\ncurrency = "USD"\nsource = "s"\n'
ENTRY = """
[[instances]]
name = "a.xlarge"
architecture = "x86_64"
vcpus = 4
threads_per_core = 2
memory_gib = 8
numa_nodes = 1
enclaves = true
price_per_hour = 0.17
"""


def needed(*, data_mib: int = 715, image_mib: int = 54, threads: int = 2) -> Need:
    return need(data_bytes=data_mib * MIB, image_bytes=image_mib * MIB, threads=threads)


def fitted(*types: InstanceType, enclaves: int = 1, need: Need | None = None) -> Fits:
    return fits(types, need or needed(), enclaves=enclaves, parent=PARENT, architecture="x86_64")


# --- What an enclave needs ------------------------------------------------------------------------------


def test_the_measured_case_fits_with_a_margin() -> None:
    found = needed()
    assert found.process_mib >= 1.2 * 1837, "docs/benchmarks.md"
    assert found.memory_mib == found.process_mib + found.image_mib + found.kernel_mib
    assert found.engine_mib < found.process_mib


@given(st.integers(1, 2**30), st.integers(1, 2**14), st.integers(1, 64))
def test_nitro_cli_would_take_every_answer(data_mib: int, image_mib: int, threads: int) -> None:
    found = needed(data_mib=data_mib, image_mib=image_mib, threads=threads)
    size = EnclaveSize(found.memory_mib, threads, image_mib * MIB)
    assert found.memory_mib >= size.least_memory_mib()
    assert found.memory_mib % 2 == 0
    assert found.kernel_mib > 0


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_more_data_never_needs_less(one_mib: int, more_mib: int) -> None:
    assert needed(data_mib=one_mib + more_mib).memory_mib >= needed(data_mib=one_mib).memory_mib


# --- Where it fits --------------------------------------------------------------------------------------


def only(found: Fits) -> Fit:
    (fit,) = found.fitting
    return fit


def test_the_extra_cost_is_beyond_what_the_parent_alone_needs() -> None:
    fit = only(fitted(XLARGE, LARGE))
    assert fit.extra_per_hour == Decimal("0.085")
    assert fit.extra_per_month == Decimal("0.085") * HOURS_PER_MONTH
    assert (fit.left_vcpus, fit.reservation.cpu_count) == (2, 2)


def test_without_a_type_for_the_parent_the_extra_cost_is_not_known() -> None:
    small = replace(XLARGE, memory_gib=1)
    assert fitted(small).parent_alone is None
    assert fitted(small).fitting == []


def test_more_than_half_of_the_processors_may_be_enclaves() -> None:
    wide = replace(XLARGE, vcpus=18, memory_gib=64)
    fit = only(fitted(wide, enclaves=4, need=needed(threads=4)))
    assert (fit.reservation.cpu_count, fit.left_vcpus) == (16, 2)
    assert fit.reservation.memory_mib == 4 * needed().memory_mib


def test_threads_are_rounded_up_to_whole_cores() -> None:
    assert only(fitted(replace(XLARGE, vcpus=8), need=needed(threads=3))).enclave_vcpus == 4
    one_thread = replace(XLARGE, threads_per_core=1, vcpus=8)
    assert only(fitted(one_thread, need=needed(threads=3))).enclave_vcpus == 3


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"enclaves": False}, "holds no enclaves"),
        ({"vcpus": 2}, "leaves 0 vCPUs to the parent, which needs 2"),
        ({"memory_gib": 1}, "leaves 0 MiB to the parent, which needs 2048"),
        ({"vcpus": 8, "numa_nodes": 4}, "a NUMA node has 1986 MiB"),
    ],
)
def test_a_type_that_does_not_hold_it_says_why(changes: dict[str, int], reason: str) -> None:
    found = fitted(replace(XLARGE, **changes))  # type: ignore[arg-type]
    assert found.fitting == []
    assert reason in found.misfits[0].reason


def test_all_enclaves_are_of_one_numa_node() -> None:
    two_nodes = replace(XLARGE, vcpus=16, memory_gib=64, numa_nodes=2)
    assert fitted(two_nodes, enclaves=4, need=needed(threads=2)).fitting
    (misfit,) = fitted(two_nodes, enclaves=3, need=needed(threads=4)).misfits
    assert misfit.reason == "a NUMA node has 8 vCPUs, the enclaves need 12 of one"


def test_types_with_other_processors_are_left_out() -> None:
    found = fitted(replace(XLARGE, architecture="aarch64"))
    assert (found.fitting, found.misfits) == ([], [])


# --- The file of prices ---------------------------------------------------------------------------------


def test_the_sample_is_as_it_has_to_be_and_dated() -> None:
    sample = load_prices(SAMPLE)
    assert sample.dated.year >= 2026
    assert "SAMPLE" in sample.source
    assert {each.architecture for each in sample.types} == {"x86_64", "aarch64"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "missing"),
        (HEAD, "instances missing"),
        (HEAD + ENTRY + ENTRY, "a name stands there twice"),
        (HEAD + ENTRY.replace("vcpus = 4\n", ""), "number 1: vcpus missing"),
        (HEAD + ENTRY + "colour = 1\n", "1 keys not known"),
        (HEAD + ENTRY.replace("vcpus = 4", "vcpus = 3"), "not a multiple of threads_per_core"),
        (HEAD + ENTRY.replace("= 4", "= true"), "vcpus: expected a whole number"),
        (HEAD + ENTRY.replace("= 4", "= 0"), "vcpus: expected a whole number"),
        (HEAD + ENTRY.replace("0.17", "nan"), "price_per_hour: expected a number"),
        (HEAD + ENTRY.replace("0.17", "-1"), "price_per_hour: expected a number"),
        (HEAD + ENTRY.replace("0.17", '"0.17"'), "price_per_hour: expected a number"),
        (HEAD + ENTRY.replace("x86_64", "riscv"), "architecture: expected one of"),
        (HEAD + ENTRY.replace("enclaves = true", "enclaves = 1"), "enclaves: expected true or false"),
        (HEAD + ENTRY.replace('"a.xlarge"', '"a\\u001b"'), "name: expected a text"),
        (HEAD.replace("2026-01-31", '"today"') + ENTRY, "dated: expected a date"),
        (HEAD + "instances = 7\n", "expected 1 to"),
        ("dated = \xff", "not TOML"),
        ("#" * 300_000, "at most"),
    ],
)
def test_a_file_that_is_not_as_it_has_to_be_is_refused(text: str, said: str) -> None:
    with pytest.raises(PriceFileError, match=said) as refused:
        parse_prices_untrusted(text.encode("latin-1"))
    assert "--show-sample" in str(refused.value.hint)


@given(st.text(max_size=200))
def test_whatever_the_file_holds_only_our_error_leaves(text: str) -> None:
    for whole in (text, HEAD + ENTRY + text):
        try:
            parse_prices_untrusted(whole.encode())
        except PriceFileError:
            continue


# --- The command ----------------------------------------------------------------------------------------


def planned(*arguments: str) -> str:
    result = CliRunner().invoke(group, ["plan", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_printed_allocator_file_is_one(tmp_path: Path) -> None:
    shown = planned("--dataset", "10000000x38", "--dataset", "10000000x38")
    text = "---\n" + shown.partition("---\n")[2].partition("\n\n")[0] + "\n"
    reservation = parse_allocator_untrusted(text.encode())
    assert f"--enclave-memory-mib {reservation.memory_mib} --enclave-vcpus 2" in shown
    assert "prices of 2026-01-19 (SAMPLE" in " ".join(shown.split())


def test_json_says_all_of_it(tmp_path: Path) -> None:
    image = image_file(tmp_path / "enclave.eif", architecture="aarch64")
    (tmp_path / "prices.toml").write_text(
        HEAD + ENTRY + ENTRY.replace("a.xl", "b.xl").replace("x86_64", "aarch64")
    )
    found = json.loads(
        planned(
            "--data-mib", "715", "--image", str(image), "--prices", str(tmp_path / "prices.toml"), "--json"
        )
    )
    (fit,) = found["fitting"]
    assert (fit["name"], fit["price_per_hour"], fit["extra_per_hour"]) == ("b.xlarge", "0.17", "0.00")
    assert fit["allocator"] == {"memory_mib": found["enclave"]["memory_mib"], "cpu_count": 2}
    assert found["parent_alone"] == "a.xlarge"


def test_the_printed_sample_is_a_file_of_prices(tmp_path: Path) -> None:
    assert parse_prices_untrusted(planned("--show-sample").encode()).types


def test_sizes_have_to_be_given() -> None:
    result = CliRunner().invoke(group, ["plan"])
    assert (result.exit_code, "--dataset ROWSxBYTES" in result.output) == (2, True)
    result = CliRunner().invoke(group, ["plan", "--dataset", "many"])
    assert (result.exit_code, "expected ROWSxBYTES" in result.output) == (2, True)


def test_where_nothing_fits_it_says_so() -> None:
    shown = planned("--data-mib", "100000000")
    assert "No instance type of the file holds it" in shown
    assert "allocator.yaml" not in shown
