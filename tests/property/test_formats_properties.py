"""What holds for all messages: one value, one encoding; other bytes, another value or a refusal by name."""

from __future__ import annotations

import io
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protos.formats import canonical
from protos.formats.errors import ConcordatError, FormatError, SealError, SignatureError
from protos.formats.frames import Frame
from protos.formats.limits import MIB
from protos.formats.receipt import Receipt
from protos.formats.result import SealedResult, pad, unpad
from protos.formats.sealed import ChunkOpener
from tests.conformance.formats.readers import READERS, read_cbor, read_only_frame
from tests.conformance.formats.samples import DATA_KEY, messages, sealed_chunks, sealed_header
from tests.property import formats_strategies as strategies


@given(strategies.values())
def test_decoding_is_the_inverse_of_encoding(value: Any) -> None:
    encoded = canonical.encode(value)
    assert read_cbor(encoded) == value
    assert cbor2.loads(encoded) == value, "an independent reader sees the same"


@given(strategies.values(), strategies.values())
def test_two_values_have_two_encodings(one: Any, other: Any) -> None:
    # repr tells True from 1, which == does not.
    assert (canonical.encode(one) == canonical.encode(other)) == (shape(one) == shape(other))


def shape(value: Any) -> object:
    """`value` as something in which only the same values are equal, in whatever order keys stand."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return type(value), value


@given(strategies.values(), st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(value: Any, random: Any) -> None:
    def shuffled(item: Any) -> Any:
        if isinstance(item, dict):
            pairs = list(item.items())
            random.shuffle(pairs)
            return {key: shuffled(inner) for key, inner in pairs}
        return [shuffled(inner) for inner in item] if isinstance(item, list) else item

    assert canonical.encode(shuffled(value)) == canonical.encode(value)


def reference(data: bytes) -> Any:
    """What cbor2 alone and the rule "encoding it again gives the same bytes" make of `data`."""
    stream = io.BytesIO(data)
    value = cbor2.CBORDecoder(
        stream, max_depth=17, allow_indefinite=False, allow_duplicate_keys=False
    ).decode()
    if canonical.encode(value) != data:
        raise ValueError("other bytes")
    return value


@settings(max_examples=1000)
@given(st.binary(max_size=12) | strategies.values(5).map(canonical.encode).flatmap(strategies.edited))
def test_looking_first_refuses_nothing_that_is_canonical(data: bytes) -> None:
    try:
        expected = reference(data)
    except Exception:
        with pytest.raises(FormatError):
            read_cbor(data)
    else:
        assert read_cbor(data) == expected


@pytest.mark.parametrize("name", strategies.MESSAGES)
@settings(max_examples=50)
@given(data=st.data())
def test_message_comes_back(name: str, data: st.DataObject) -> None:
    message = data.draw(strategies.MESSAGES[name])
    encoded = message.encode()
    assert type(message).decode_untrusted(encoded) == message
    assert canonical.encode(read_cbor(encoded)) == encoded


@given(strategies.SEALED_RESULTS, strategies.RECEIPTS)
def test_sealed_result_and_receipt_come_back(result: SealedResult, receipt: Receipt) -> None:
    assert SealedResult.decode_untrusted(result.encode()) == result
    assert Receipt.decode_untrusted(receipt.encode()) == receipt


@given(st.dictionaries(strategies.ANY_TEXTS, strategies.values(5), max_size=5), st.binary(max_size=100))
def test_frame_comes_back(header: dict[str, Any], body: bytes) -> None:
    frame = Frame(header, body)
    assert read_only_frame(frame.prefix() + frame.body) == frame


@given(st.binary(max_size=20_000))
def test_padding_comes_off(result: bytes) -> None:
    padded = pad(result)
    assert unpad(padded) == result
    assert len(padded) >= 4096
    assert len(padded).bit_count() == 1


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=200)
@given(data=st.data())
def test_other_bytes_are_refused_or_say_something_else(name: str, data: st.DataObject) -> None:
    good = messages()[name]
    changed = data.draw(strategies.edited(good))
    try:
        read = READERS[name](changed)
    except (FormatError, SignatureError, SealError):
        return
    assert read != READERS[name](good)


TAGS = (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 100, 256, 258, 260, 261, 1004, 43000, 55799)


def anything() -> st.SearchStrategy[Any]:
    """Values that only a general CBOR encoder has bytes for, tags with the wrong content included."""
    inner = strategies.values(5) | st.floats() | st.integers() | st.just(cbor2.undefined)
    return st.builds(cbor2.CBORTag, st.sampled_from(TAGS), inner) | inner


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=200)
@given(data=st.binary(max_size=300) | st.lists(anything(), max_size=3).map(cbor2.dumps))
def test_arbitrary_bytes_raise_one_family_only(name: str, data: bytes) -> None:
    try:
        READERS[name](data)
    except ConcordatError as error:
        assert error.message
        assert len(error.message) < 2000


@pytest.mark.parametrize("name", ["agreement", "claims", "receipt", "run-request", "sealed-header"])
@settings(max_examples=200)
@given(data=st.data())
def test_any_value_in_any_field_raises_one_family_only(name: str, data: st.DataObject) -> None:
    """Well-formed messages in which one value, at any depth, is of another type or size."""
    value = canonical.decode_untrusted(messages()[name], max_bytes=MIB, what=name)
    place: Any = value
    while True:
        steps = list(place) if isinstance(place, dict) else list(range(len(place)))
        step = data.draw(st.sampled_from(steps))
        if not isinstance(place[step], list | dict) or not place[step] or data.draw(st.booleans()):
            break
        place = place[step]
    place[step] = data.draw(strategies.values(5))
    try:
        read: Any = READERS[name](canonical.encode(value))
    except ConcordatError as error:
        assert len(error.message) < 2000
    else:
        assert canonical.encode(value) == read.encode(), "what was read is all that was there"


PLAINTEXTS = tuple(bytes([number]) * (number + 1) for number in range(5))
CHUNKS = sealed_chunks(PLAINTEXTS)[0]


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=40))
def test_a_stream_opens_in_its_order_only(calls: list[tuple[int, bool]]) -> None:
    """Whatever a relay sends, in whatever order: only the next chunk with its own flag ever opens."""
    opener = ChunkOpener(DATA_KEY, sealed_header().digest())
    expected = 0
    for number, last in calls:
        fits = number == expected and last == (number == len(CHUNKS) - 1)
        if fits:
            assert opener.open(CHUNKS[number], last=last) == PLAINTEXTS[number]
            expected += 1
        else:
            with pytest.raises(SealError):
                opener.open(CHUNKS[number], last=last)
        assert opener.chunks == expected
        assert opener.finished == (expected == len(CHUNKS))
