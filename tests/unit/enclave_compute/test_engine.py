"""The engine takes what fits the agreement, refuses everything else, and has no door but its own."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import threading
from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal

import duckdb
import pyarrow as pa
import pytest

from enclave_compute.disclosure import release
from enclave_compute.engine import Engine
from enclave_compute.errors import RefusedError
from protos.formats import limits
from protos.formats.calls import Refusal
from protos.formats.schema import Dataset
from tests.chunk_tables import arrow_type, chunk
from tests.engine_world import MEMORY_MIB, SINGLE, column, load, plan_of, rows_of, table


def one_column(kind: str, *, nullable: bool = True, normalise: str = "none") -> Dataset:
    columns = (
        column("unit", "int64", "count_distinct"),
        column("x", kind, "group", "count_distinct", nullable=nullable, normalise=normalise),
    )
    return Dataset("data", "owner", columns, "unit", 1, (), 1000, 1_000_000, SINGLE)


def taken(dataset: Dataset, values: list[Any], **changes: Any) -> list[Any]:
    """What a query sees of `values` after they went through the engine."""
    engine = Engine(MEMORY_MIB, 1)
    load(engine, dataset, table(dataset, list(enumerate(values))))
    plan = plan_of("SELECT x, COUNT(*) AS n FROM data GROUP BY x", datasets=(dataset,))
    return [row[0] for row in rows_of(release(engine, plan, {})) for _ in range(row[1])]


KEY = bytes(range(16))
VALUES: dict[str, list[Any]] = {
    "bool": [False, True, None],
    "date": [dt.date(1, 1, 1), dt.date(1970, 1, 1), dt.date(9999, 12, 31), None],
    "decimal(5,2)": [Decimal("-999.99"), Decimal("0.01"), Decimal("999.99"), None],
    "decimal(38,0)": [Decimal("-9" + "9" * 37), Decimal("9" * 38)],
    "decimal(38,38)": [Decimal("-0." + "9" * 38), Decimal("0." + "9" * 38)],
    "decimal(9,0)": [Decimal(-1), Decimal(999_999_999)],
    "float64": [-1e308, -0.5, 0.0, 5e-324, 1.5, None],
    "int64": [-(2**63), 0, 2**63 - 1, None],
    "text": ["", "\0", "Zürich", "z", "\U0001f6e9", None],
    "timestamp": [dt.datetime(1, 1, 1), dt.datetime(2013, 1, 1, 5, 6, 7, 8), dt.datetime(9999, 12, 31), None],
}


@pytest.mark.parametrize("kind", VALUES)
def test_values_of_every_type_come_through(kind: str) -> None:
    assert taken(one_column(kind), VALUES[kind]) == VALUES[kind]


def test_hex128_comes_out_as_digits() -> None:
    first, last = b"\0" * 16, b"\xff" * 16
    assert taken(one_column("hex128"), [last, None, KEY, first]) == [first.hex(), KEY.hex(), last.hex(), None]


def test_negative_zero_is_zero() -> None:
    (zero,) = set(map(str, taken(one_column("float64"), [-0.0, 0.0])))
    assert zero == "0.0"


def test_email_is_normalised_inside_the_engine() -> None:
    written = [" Ann@X.org", "ann@x.ORG\n", "\tZoe\u0301@x.org", "zo\u00e9@x.org"]
    dataset = one_column("text", normalise="email/v1")
    assert taken(dataset, written) == ["ann@x.org", "ann@x.org", "zo\u00e9@x.org", "zo\u00e9@x.org"]


def raw(kind: pa.DataType, data: bytes, *, rows: int = 1) -> pa.Array[Any]:
    """An array with exactly these bytes in its last buffer, which pyarrow's own constructors would refuse."""
    buffers = [None, pa.py_buffer(data)]
    if pa.types.is_string(kind):
        buffers = [None, pa.py_buffer(b"\0\0\0\0" + len(data).to_bytes(4, "little")), pa.py_buffer(data)]
    return pa.Array.from_buffers(kind, rows, buffers)


OUTSIDE: dict[str, tuple[str, bytes]] = {
    "text that is not UTF-8": ("text", b"caf\xe9"),
    "half a surrogate pair": ("text", b"\xed\xa0\x80"),
    "a cell that is too large": ("text", b"x" * (limits.CELL_MAX_BYTES + 1)),
    "a float that is not a number": ("float64", b"\0\0\0\0\0\0\xf8\x7f"),
    "an infinite float": ("float64", b"\0\0\0\0\0\0\xf0\x7f"),
    "more digits than agreed": ("decimal(5,2)", (100_000).to_bytes(16, "little")),
    "fewer than no digits": ("decimal(5,2)", (-100_000).to_bytes(16, "little", signed=True)),
    "more digits than there are": ("decimal(38,0)", (10**38).to_bytes(16, "little")),
    "the smallest number": ("decimal(38,0)", (-(2**127)).to_bytes(16, "little", signed=True)),
    "the year 10000": ("date", (2_932_897).to_bytes(4, "little")),
    "the date infinity": ("date", (2**31 - 1).to_bytes(4, "little")),
    "before the year 1": ("date", (-719_163).to_bytes(4, "little", signed=True)),
    "the timestamp infinity": ("timestamp", (2**63 - 1).to_bytes(8, "little")),
    "the first timestamp": ("timestamp", (-(2**63)).to_bytes(8, "little", signed=True)),
}


@pytest.mark.parametrize("what", OUTSIDE)
def test_value_outside_its_type_refuses_the_dataset(what: str) -> None:
    kind, data = OUTSIDE[what]
    dataset = one_column(kind)
    rows = pa.Table.from_arrays([pa.array([1]), raw(arrow_type(dataset.column("x")), data)], ["unit", "x"])
    engine = Engine(MEMORY_MIB, 1)
    engine.create(dataset)
    require_refused_with_finish(engine, dataset, chunk(rows))


def require_refused_with_finish(engine: Engine, dataset: Dataset, bad: bytes) -> None:
    """Values are looked at with those of other chunks; what came before and after goes with them."""
    good = chunk(table(dataset, [(1, None if dataset.column("x").nullable else 1)]))
    for part in (good, bad, good):
        engine.append_untrusted(dataset.id, part)
    with pytest.raises(RefusedError) as caught:
        engine.finish(dataset.id)
    assert caught.value.refusal is Refusal.SCHEMA_MISMATCH
    engine.drop(dataset.id)
    load(engine, dataset, table(dataset, [(1, None if dataset.column("x").nullable else 1)]))


GOOD = one_column("int64", nullable=False)
ROWS = table(GOOD, [(1, 1), (2, 2)])
WRONG_SHAPE: dict[str, pa.Table] = {
    "a column missing": ROWS.select(["unit"]),
    "a column more": ROWS.append_column("y", pa.array([1, 2])),
    "narrower values": ROWS.set_column(1, "x", pa.array([True, False])),
    "wider values": ROWS.set_column(1, "x", pa.array([KEY, KEY], pa.binary(16))),
    "text": ROWS.set_column(1, "x", pa.array(["1", "2"])),
    "nulls": ROWS.set_column(1, "x", pa.array([1, None], pa.int64())),
}


@pytest.mark.parametrize("what", WRONG_SHAPE)
def test_chunk_of_another_shape_is_refused_at_once(what: str) -> None:
    engine = Engine(MEMORY_MIB, 1)
    engine.create(GOOD)
    engine.append_untrusted("data", chunk(ROWS))
    with pytest.raises(RefusedError) as caught:
        engine.append_untrusted("data", chunk(WRONG_SHAPE[what]))
    assert caught.value.refusal is Refusal.SCHEMA_MISMATCH
    engine.drop("data")
    load(engine, GOOD, ROWS)


def waiting(engine: Engine) -> list[int]:
    """How many chunks of each dataset are not in the engine yet."""
    return [len(table.waiting) for table in engine._tables.values()]


def test_no_more_bytes_wait_than_are_allowed_once_decoded() -> None:
    engine = Engine(MEMORY_MIB, 1)
    wide = one_column("text")
    engine.create(wide)
    compressed = chunk(table(wide, [(n, "x" * 50_000) for n in range(20)]), compression="zstd")
    assert len(compressed) < 0.1 * limits.MIB
    waited = []
    for _ in range(52):
        engine.append_untrusted("data", compressed, compression="zstd")
        waited += waiting(engine)
    assert waited == [*range(1, 26), 0] * 2  # 1 MB each, 24 MiB allowed
    engine.create(replace(wide, id="other"))
    for _ in range(13):
        engine.append_untrusted("other", compressed, compression="zstd")
    assert waiting(engine) == [0, 0]  # two datasets have half of it each
    assert (engine.finish("data"), engine.finish("other")) == (1040, 260)


def test_no_more_small_chunks_wait_than_are_allowed() -> None:
    engine = Engine(MEMORY_MIB, 1)
    engine.create(GOOD)
    most = 0
    for _ in range(200):
        engine.append_untrusted("data", chunk(ROWS))
        most = max(most, *waiting(engine))
    assert most == 63
    assert engine.finish("data") == 400


def test_query_sees_what_was_waiting() -> None:
    engine = Engine(MEMORY_MIB, 1)
    engine.create(GOOD)
    engine.append_untrusted("data", chunk(ROWS))
    plan = plan_of("SELECT x FROM data GROUP BY x", datasets=(GOOD,))
    assert rows_of(release(engine, plan, {})) == [(1,), (2,)]


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_compressed_chunks_are_read(compression: Literal["none", "zstd"]) -> None:
    engine = Engine(MEMORY_MIB, 1)
    engine.create(GOOD)
    rows = table(GOOD, [(n, n % 3) for n in range(5000)])
    assert (
        engine.append_untrusted("data", chunk(rows, compression=compression), compression=compression) == 5000
    )
    assert engine.finish("data") == 5000


def test_texts_come_through_with_and_without_a_dictionary() -> None:
    """In any order of chunks: those with a dictionary are inserted apart from the others."""
    dataset = one_column("text")
    plain = table(dataset, [(1, "a"), (2, None), (3, "Z\u00fcrich")])
    coded = plain.set_column(1, "x", plain.column("x").combine_chunks().dictionary_encode())
    engine = Engine(MEMORY_MIB, 1)
    engine.create(dataset)
    for rows in (plain, coded, coded, plain, coded):
        engine.append_untrusted("data", chunk(rows))
    assert engine.finish("data") == 15
    plan = plan_of("SELECT x, COUNT(*) AS n FROM data GROUP BY x", datasets=(dataset,))
    assert rows_of(release(engine, plan, {})) == [("Z\u00fcrich", 5), ("a", 5), (None, 5)]


@pytest.mark.parametrize("text", [b"caf\xe9", b"\xed\xa0\x80", b"x" * (limits.CELL_MAX_BYTES + 1)])
def test_text_outside_its_type_in_a_dictionary_is_refused(text: bytes) -> None:
    coded = pa.DictionaryArray.from_arrays(pa.array([0]), raw(pa.string(), text), safe=False)
    engine = Engine(MEMORY_MIB, 1)
    engine.create(one_column("text"))
    with pytest.raises(RefusedError, match="outside its type") as caught:
        engine.append_untrusted("data", chunk(pa.table({"unit": pa.array([1]), "x": coded})))
    assert caught.value.refusal is Refusal.SCHEMA_MISMATCH


def test_one_long_text_among_others_of_a_dictionary_is_refused() -> None:
    texts = pa.array(["a", "x" * (limits.CELL_MAX_BYTES + 1), "b"]).dictionary_encode()
    engine = Engine(MEMORY_MIB, 1)
    engine.create(one_column("text"))
    with pytest.raises(RefusedError, match="outside its type"):
        engine.append_untrusted("data", chunk(pa.table({"unit": pa.array([1, 2, 3]), "x": texts})))


def test_texts_of_a_dictionary_are_normalised() -> None:
    dataset = one_column("text", normalise="email/v1")
    rows = table(dataset, [(1, " Ann@X.org"), (2, "ann@x.ORG")])
    engine = Engine(MEMORY_MIB, 1)
    engine.create(dataset)
    engine.append_untrusted(
        "data", chunk(rows.set_column(1, "x", rows.column("x").combine_chunks().dictionary_encode()))
    )
    plan = plan_of("SELECT x, COUNT(*) AS n FROM data GROUP BY x", datasets=(dataset,))
    assert rows_of(release(engine, plan, {})) == [("ann@x.org", 2)]


def test_unique_key_stands_once() -> None:
    dataset = replace(one_column("text"), unique=("x",))
    for values, fits in ((["a", "b", None], True), (["a", "b", "a"], False), ([None, None], False)):
        engine = Engine(MEMORY_MIB, 1)
        engine.create(dataset)
        engine.append_untrusted("data", chunk(table(dataset, list(enumerate(values)))))
        if fits:
            assert engine.finish("data") == len(values)
        else:
            with pytest.raises(RefusedError, match="a unique key stands twice"):
                engine.finish("data")


def test_unique_key_is_looked_for_after_normalising() -> None:
    dataset = replace(one_column("text", normalise="email/v1"), unique=("x",))
    engine = Engine(MEMORY_MIB, 1)
    engine.create(dataset)
    engine.append_untrusted("data", chunk(table(dataset, [(1, "a@x.org"), (2, " A@X.org")])))
    with pytest.raises(RefusedError, match="a unique key stands twice"):
        engine.finish("data")


def test_repeated_key_is_found_across_the_parts_that_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enclave_compute.engine._UNIQUE_ROWS_AT_ONCE", 10)
    dataset = replace(one_column("int64"), unique=("unit", "x"))
    rows = [(n, n) for n in range(100)]
    for last, fits in (((50, 51), True), ((50, 50), False)):
        engine = Engine(MEMORY_MIB, 1)
        engine.create(dataset)
        engine.append_untrusted("data", chunk(table(dataset, [*rows, last])))
        if fits:
            assert engine.finish("data") == 101
        else:
            with pytest.raises(RefusedError, match="a unique key stands twice"):
                engine.finish("data")


def test_dropped_dataset_can_be_sent_again() -> None:
    engine = Engine(MEMORY_MIB, 1)
    engine.create(GOOD)
    engine.append_untrusted("data", chunk(ROWS))
    engine.drop("data")
    load(engine, GOOD, table(GOOD, [(7, 7)]))
    plan = plan_of("SELECT x FROM data GROUP BY x", datasets=(GOOD,))
    assert rows_of(release(engine, plan, {})) == [(7,)]


def test_datasets_are_appended_to_at_the_same_time() -> None:
    engine = Engine(MEMORY_MIB, 2)
    datasets = [replace(GOOD, id=f"data_{number}") for number in range(3)]
    rows = chunk(table(GOOD, [(n, n) for n in range(1000)]))

    def upload(dataset: Dataset) -> None:
        engine.create(dataset)
        for _ in range(20):
            engine.append_untrusted(dataset.id, rows)

    threads = [threading.Thread(target=upload, args=(dataset,)) for dataset in datasets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [engine.finish(dataset.id) for dataset in datasets] == [20_000] * 3


def test_more_than_the_memory_of_the_agreement_is_refused_and_the_engine_lives() -> None:
    engine = Engine(64, 1)
    wide = one_column("text")
    engine.create(wide)
    rows = chunk(table(wide, [(n, f"{n:01000d}") for n in range(900)]))
    with pytest.raises(RefusedError) as caught:
        for _ in range(200):
            engine.append_untrusted("data", rows)
    assert caught.value.refusal is Refusal.OUT_OF_RESOURCES
    engine.drop("data")
    load(engine, GOOD, ROWS)


LOCKED = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM glob('/*')",
    "SELECT content FROM read_text('/etc/hostname')",
    "COPY (SELECT 1) TO '/tmp/concordat_locked_out.csv'",
    "ATTACH '/tmp/concordat_locked_out.db'",
    "EXPORT DATABASE '/tmp/concordat_locked_out'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET memory_limit = '100GB'",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "RESET threads",
    "PRAGMA enable_profiling",
    "SELECT * FROM ROWS",
]


@pytest.mark.parametrize("statement", LOCKED)
def test_every_door_of_the_engine_is_locked(statement: str) -> None:
    engine = Engine(MEMORY_MIB, 1)
    connection = engine._connection.cursor()
    with pytest.raises(duckdb.Error):
        connection.execute(statement).fetchall()


def test_settings_are_those_of_the_agreement() -> None:
    engine = Engine(128, 1)
    settings = dict(engine._connection.execute("SELECT name, value FROM duckdb_settings()").fetchall())
    assert settings["memory_limit"] == "128.0 MiB"
    assert (settings["threads"], settings["lock_configuration"]) == ("1", "true")
    assert settings["autoload_known_extensions"] == settings["enable_external_access"] == "false"


ABSENT = (
    "grpc",
    "http",
    "multiprocessing",
    "numpy",
    "pandas",
    "pickle",
    "pyarrow",
    "subprocess",
    "urllib.request",
)

USE_IT = """
import sys
from enclave_compute.engine import Engine
from enclave_compute import disclosure
from protos.formats.schema import Column, Dataset
engine = Engine(64, 1)
engine.create(Dataset("data", "owner", (Column("x", "int64", False, frozenset()),), "x", 2, (), 10, 10))
print(*sorted(sys.modules))
"""


def test_nothing_large_comes_with_the_engine() -> None:
    finished = subprocess.run([sys.executable, "-c", USE_IT], capture_output=True, text=True, check=True)
    loaded = set(finished.stdout.split())
    assert "duckdb" in loaded
    assert [name for name in ABSENT if name in loaded] == []
