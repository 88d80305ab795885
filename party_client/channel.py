"""A bounded queue between two threads that always ends: by the last item, by a failure, or abandoned.

The standard queue has no end and no way to tell a blocked producer that nobody will come any more; here a
failure on one side is what the other side sees next.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")


class AbandonedError(Exception):
    """The reader is gone: whoever puts something may stop. Never leaves the producing thread."""


class Channel(Generic[Item]):
    """At most `room` items wait in it. One thread puts, one takes."""

    def __init__(self, room: int) -> None:
        self._room: Final = room
        self._items: deque[Item] = deque()
        self._changed: Final = threading.Condition()
        self._ended = False
        self._failure: BaseException | None = None
        self._abandoned = False

    def put(self, item: Item) -> None:
        """Waits for room. Raises `AbandonedError` when nobody takes any more."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < self._room or self._abandoned)
            if self._abandoned:
                raise AbandonedError
            self._items.append(item)
            self._changed.notify_all()

    def end(self, failure: BaseException | None = None) -> None:
        """No more items will be put; with `failure`, because of it."""
        with self._changed:
            self._ended, self._failure = True, failure
            self._changed.notify_all()

    def abandon(self) -> None:
        """Nothing will be taken any more."""
        with self._changed:
            self._abandoned = True
            self._items.clear()
            self._changed.notify_all()

    def take(self, most: int) -> list[Item]:
        """The items that are there, 1 to `most` of them, after waiting for one; none at the end.

        Raises what the producer ended with, once all items before it have been taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._ended or self._abandoned)
            taken = [self._items.popleft() for _ in range(min(most, len(self._items)))]
            if not taken and self._failure is not None:
                raise self._failure
            self._changed.notify_all()
            return taken

    def __iter__(self) -> Iterator[Item]:
        while taken := self.take(1):
            yield from taken


def produce(channel: Channel[Item], items: Callable[[], Iterable[Item]], *, name: str) -> threading.Thread:
    """A started thread that puts all of `items()` into `channel`, and then its end or its failure."""

    def run() -> None:
        try:
            for item in items():
                channel.put(item)
        except AbandonedError:
            return
        except BaseException as failure:  # every failure belongs to whoever takes
            channel.end(failure)
        else:
            channel.end()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread
