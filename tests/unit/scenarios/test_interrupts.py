"""Signals wait for the end of a block that must be done as a whole."""

from __future__ import annotations

import signal
import threading

import pytest

from scenarios.interrupts import deferred


def test_ctrl_c_comes_after_the_block() -> None:
    done = False
    with pytest.raises(KeyboardInterrupt), deferred():
        signal.raise_signal(signal.SIGINT)
        done = True
    assert done


def test_signals_are_handled_as_before_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with deferred():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_blocks_may_stand_in_each_other() -> None:
    reached = []
    with pytest.raises(KeyboardInterrupt), deferred():
        with deferred():
            signal.raise_signal(signal.SIGINT)
        reached.append("after the inner block")
    assert reached


def test_another_thread_may_use_it() -> None:
    done = []

    def work() -> None:
        with deferred():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done
