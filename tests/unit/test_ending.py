"""How a command that acts in chunks is ended by a signal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from fixionmail.commands.ending import ended_between_chunks, ended_in_order

ENDS = [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit), (signal.SIGHUP, SystemExit)]
END_SIGNALS = [number for number, _ in ENDS]
LONG_SECONDS = 30.0


@pytest.fixture(autouse=True)
def _signals_that_end() -> Iterator[None]:
    """As a program has them that was started at a terminal."""
    before = {number: signal.getsignal(number) for number in END_SIGNALS}
    for number in END_SIGNALS:
        signal.signal(number, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "end"), ENDS)
def test_what_is_under_way_is_done_before_an_end_that_is_wanted(
    number: signal.Signals, end: type[BaseException]
) -> None:
    done = []

    def run() -> None:
        with ended_between_chunks() as pause:
            signal.raise_signal(number)
            done.append("the chunk")
            pause(0)
            done.append("the next one")

    with pytest.raises(end):
        run()
    assert done == ["the chunk"]


@pytest.mark.parametrize(("number", "end"), ENDS)
def test_a_pause_is_ended_at_once(number: signal.Signals, end: type[BaseException]) -> None:
    main = threading.main_thread().ident
    assert main is not None
    later = threading.Timer(0.05, signal.pthread_kill, (main, number))

    def run() -> None:
        with ended_between_chunks() as pause:
            later.start()
            pause(LONG_SECONDS)

    with pytest.raises(end):
        run()


def test_who_wants_an_end_twice_does_not_wait_for_what_is_under_way() -> None:
    def run() -> None:
        with ended_between_chunks():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run()


def test_who_wants_an_end_is_told_that_it_comes_and_how_to_have_it_at_once(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with ended_between_chunks():
        signal.raise_signal(signal.SIGINT)
    assert "Ending after what is under way. Ctrl+C again ends at once." in capfd.readouterr().err


@pytest.mark.parametrize("number", END_SIGNALS)
def test_a_signal_that_was_ignored_before_stays_ignored(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_IGN)
    with ended_between_chunks() as pause, ended_in_order():
        signal.raise_signal(number)
        pause(0)
    assert signal.getsignal(number) is signal.SIG_IGN


@pytest.mark.parametrize("number", END_SIGNALS)
def test_afterwards_a_signal_does_what_it_did_before(number: signal.Signals) -> None:
    with ended_between_chunks(), ended_in_order():
        pass
    assert signal.getsignal(number) is signal.default_int_handler
