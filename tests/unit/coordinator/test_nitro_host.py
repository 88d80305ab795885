from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.errors import AllocatorFileError, CannotServeError, NitroCliError
from coordinator.launchers.allocator import Reservation, parse_allocator_untrusted, parse_cpu_list_untrusted
from coordinator.launchers.nitro_answers import (
    failure,
    parse_describe_untrusted,
    parse_run_untrusted,
    parse_terminate_untrusted,
)
from coordinator.launchers.nitro_host import EnclaveSize, NitroHost
from protos.formats.errors import ConcordatError
from tests.unit.coordinator.nitro_cli_stand_in import stand_in
from tests.unit.coordinator.nitro_instance import ALLOCATOR, CPU_POOL, Instance

MIB = 1024 * 1024
SIZE = EnclaveSize(memory_mib=512, vcpus=2, image_bytes=54 * MIB)
RUN = b"""{
  "EnclaveName": "concordat-0123456789abcdef",
  "EnclaveID": "i-0123456789abcdef0-enc0123456789abcdef",
  "ProcessID": 12345,
  "EnclaveCID": 70000,
  "NumberOfCPUs": 2,
  "CPUIDs": [1, 3],
  "MemoryMiB": 512
}
"""


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    instance = Instance(tmp_path / "instance")
    instance.reserve(memory_mib=3072)
    return instance


@pytest.fixture
def program(tmp_path: Path) -> str:
    return stand_in(tmp_path / "cli")


def refusal(instance: Instance, program: str, size: EnclaveSize = SIZE) -> ConcordatError:
    with pytest.raises(CannotServeError) as refused:
        NitroHost(instance.root).require_ready(size, program)
    assert refused.value.hint
    return refused.value


def test_an_instance_with_enough_is_ready(instance: Instance, program: str) -> None:
    NitroHost(instance.root).require_ready(SIZE, program)


def test_nitro_cli_has_to_be_there(instance: Instance, tmp_path: Path) -> None:
    assert "no such program" in refusal(instance, str(tmp_path / "missing")).message


def test_the_device_has_to_be_there(instance: Instance, program: str) -> None:
    (instance.root / "dev/nitro_enclaves").unlink()
    error = refusal(instance, program)
    assert "/dev/nitro_enclaves is not there" in error.message
    assert "Enabled=true" in str(error.hint)


@pytest.mark.parametrize("memory_mib", [62, 214, 513])
def test_memory_follows_the_rules_of_nitro_cli(instance: Instance, program: str, memory_mib: int) -> None:
    error = refusal(instance, program, EnclaveSize(memory_mib, 2, 54 * MIB))
    assert "expected a multiple of 2 of at least 216" in error.message


def test_four_times_the_image_is_enough(instance: Instance, program: str) -> None:
    NitroHost(instance.root).require_ready(EnclaveSize(216, 2, 54 * MIB), program)
    refusal(instance, program, EnclaveSize(216, 2, 54 * MIB + 1))


def test_an_enclave_has_whole_cores(instance: Instance, program: str) -> None:
    assert "expected a multiple of 2" in refusal(instance, program, EnclaveSize(512, 3, MIB)).message
    instance.write("sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0\n")
    NitroHost(instance.root).require_ready(EnclaveSize(512, 3, MIB), program)


def test_what_is_set_aside_has_to_be_enough(instance: Instance, program: str) -> None:
    error = refusal(instance, program, EnclaveSize(512, 8, MIB))
    assert "got 6 CPUs that are reserved for enclaves, expected at least 8" in error.message
    assert "set memory_mib: 512 and cpu_count: 8" in str(error.hint)
    error = refusal(instance, program, EnclaveSize(4096, 2, MIB))
    assert "got 3072 MiB in hugepages, expected at least 4096" in error.message


def test_a_reservation_that_is_not_in_force_is_told_from_one_that_is_too_small(
    instance: Instance, program: str
) -> None:
    instance.write(CPU_POOL, "\n")
    assert "reserves enough but is not in force" in str(refusal(instance, program).hint)
    instance.write(ALLOCATOR, "memory_mib: 512\n")
    assert "memory_mib is missing below the line ---" in str(refusal(instance, program).hint)
    (instance.root / ALLOCATOR).unlink()
    assert "set memory_mib: 512" in str(refusal(instance, program).hint)


def test_a_driver_that_is_not_loaded_is_named(instance: Instance, program: str) -> None:
    (instance.root / CPU_POOL).unlink()
    assert "modprobe nitro_enclaves" in str(refusal(instance, program).hint)


# --- allocator.yaml -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("---\nmemory_mib: 512\ncpu_count: 2\n", Reservation(512, 2)),
        ('words\n---\n# comment\n  memory_mib: "512"\ncpu_pool: 2,3,6-9\n', Reservation(512, 6)),
        (Reservation(3072, 4).yaml(), Reservation(3072, 4)),
    ],
)
def test_a_file_that_the_allocator_takes_is_read_alike(text: str, expected: Reservation) -> None:
    assert parse_allocator_untrusted(text.encode()) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("memory_mib: 512\ncpu_count: 2\n", "memory_mib is missing"),
        ("---\nmemory_mib: 512\ncpu_count: 2", "last line has no end"),
        ("---\nmemory_mib: 512\n", "exactly one of cpu_count and cpu_pool"),
        ("---\nmemory_mib: 512\ncpu_count: 2\ncpu_pool: 2,3\n", "exactly one"),
        ("---\nmemory_mib: 512\n\ncpu_count: 2\n", "line 3: expected one of"),
        ("---\nmemory_mib: 512\ncpu_counts: 2\n", "line 3: expected one of"),
        ("---\nmemory_mib: 512 # MiB\ncpu_count: 2\n", "line 2: expected one of"),
        ("---\nmemory_mib: 512\nmemory_mib: 512\n", "line 3: memory_mib stands here twice"),
        ("---\nmemory_mib: 0\ncpu_count: 2\n", "memory_mib: expected a whole number"),
        ("---\nmemory_mib: 512\ncpu_pool: 2-1\n", "backwards"),
        ("---\nmemory_mib: 512\ncpu_pool: 2,2\n", "twice"),
        ("---\nmemory_mib: 512\ncpu_count: \u00b2\n", "ASCII"),
        ("#" * 70_000 + "\n", "at most 65536"),
    ],
)
def test_a_file_that_it_does_not_take_is_refused(text: str, said: str) -> None:
    with pytest.raises(AllocatorFileError, match=said):
        parse_allocator_untrusted(text.encode())


@given(st.binary(max_size=200))
def test_whatever_the_file_holds_only_our_error_leaves(text: bytes) -> None:
    for whole in (text, b"---\n" + text + b"\n"):
        try:
            parse_allocator_untrusted(whole)
        except AllocatorFileError:
            continue


@given(st.text(alphabet="0123456789-, \n", max_size=30))
def test_whatever_a_cpu_list_holds_its_numbers_are_different_or_it_is_refused(text: str) -> None:
    try:
        numbers = parse_cpu_list_untrusted(text)
    except AllocatorFileError:
        return
    assert len(set(numbers)) == len(numbers) > 0


# --- Answers of nitro-cli -------------------------------------------------------------------------------


def test_an_answer_is_read_and_unknown_keys_are_tolerated() -> None:
    started = parse_run_untrusted(RUN.replace(b"{\n", b'{"New": {"x": [1.5]},\n', 1))
    assert (started.name, started.cid, started.vcpus) == ("concordat-0123456789abcdef", 70000, 2)
    listed = RUN.replace(b'"ProcessID"', b'"State": "RUNNING", "Flags": "DEBUG_MODE", "ProcessID"')
    (enclave,) = parse_describe_untrusted(b"[" + listed + b"]")
    assert (enclave.state, enclave.is_debug) == ("RUNNING", True)
    assert parse_describe_untrusted(b"[]\n") == []
    assert parse_terminate_untrusted(b'{"EnclaveID": "i-1-enc1", "Terminated": true}')


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        RUN.replace(b"70000", b"true"),
        RUN.replace(b"70000", b"70000.0"),
        RUN.replace(b"70000", b"4294967296"),
        RUN.replace(b"70000", b"NaN"),
        RUN.replace(b'"EnclaveCID"', b'"CID"'),
        RUN.replace(b"{\n", b'{"EnclaveCID": 1,\n', 1),
        RUN.replace(b"concordat", b"con\\u001bcordat"),
        RUN.replace(b"concordat", b"c" * 200),
        RUN + RUN,
        b"[" * 100_000,
        b" " * 300_000,
        b"\xff",
    ],
)
def test_an_answer_that_is_malformed_is_refused(text: bytes) -> None:
    with pytest.raises(NitroCliError, match="the answer is malformed"):
        parse_run_untrusted(text)


@given(st.binary(max_size=300))
def test_whatever_is_answered_only_our_error_leaves(text: bytes) -> None:
    for parse in (parse_run_untrusted, parse_describe_untrusted, parse_terminate_untrusted):
        try:
            parse(text)
        except NitroCliError:
            continue


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["EnclaveName", "EnclaveID", "EnclaveCID", "Terminated"]), inner)
    ),
    max_leaves=10,
)


@given(JSON)
def test_whatever_json_is_answered_only_our_error_leaves(value: object) -> None:
    text = json.dumps(value).encode()
    for parse in (parse_run_untrusted, parse_describe_untrusted, parse_terminate_untrusted):
        try:
            parse(text)
        except NitroCliError:
            continue


@given(st.binary(max_size=200), st.integers(1, 255))
def test_whatever_it_says_a_failure_has_a_hint(said: bytes, status: int) -> None:
    assert failure("run-enclave", status, said).hint
