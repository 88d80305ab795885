"""A queue between threads that always ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from party_client.channel import Channel, produce


def test_items_come_out_in_order_and_then_it_ends() -> None:
    channel: Channel[int] = Channel(2)
    thread = produce(channel, lambda: range(100), name="numbers")
    assert list(channel) == list(range(100))
    thread.join(1)
    assert not thread.is_alive()


def test_a_failure_comes_after_the_items_before_it() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    channel: Channel[int] = Channel(2)
    produce(channel, failing, name="failing")
    taken = []
    with pytest.raises(ValueError, match="broken"):
        for item in channel:
            taken.append(item)
    assert taken == [1]


def test_a_producer_stops_when_nobody_takes_any_more() -> None:
    begun = threading.Event()

    def endless() -> Iterator[int]:
        while True:
            begun.set()
            yield 1

    channel: Channel[int] = Channel(2)
    thread = produce(channel, endless, name="endless")
    assert begun.wait(5)
    channel.abandon()
    thread.join(5)
    assert not thread.is_alive()
    assert channel.take(1) == []


def test_no_more_than_the_room_waits() -> None:
    channel: Channel[int] = Channel(3)
    produced = []

    def counting() -> Iterator[int]:
        for number in range(10):
            produced.append(number)
            yield number

    thread = produce(channel, counting, name="counting")
    thread.join(0.2)
    assert len(produced) == 4  # three in the channel, one in hand
    assert channel.take(10) == [0, 1, 2]
    assert list(channel) == list(range(3, 10))
