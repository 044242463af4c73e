import os
import signal
import threading

import pytest

from lightning_abkd.training._stop_signals import Stop, StopSignals
from tests.training._training import trainer


@pytest.fixture
def run(tmp_path):
    return trainer(tmp_path)


def kept(run, *numbers):
    signals = StopSignals()
    signals.take(run)
    try:
        for number in numbers:
            os.kill(os.getpid(), number)
        return signals, signals.asked(run)
    finally:
        signals.give_back()


def test_signals_are_kept_until_they_are_asked_for(run, capfd):
    signals, stop = kept(run, signal.SIGTERM)
    assert (stop, signals.code(stop), signals.name(stop)) == (Stop.TERMINATION, 143, "SIGTERM")
    assert capfd.readouterr().err == "\nSIGTERM: stops after this step.\n"


def test_a_repeated_sigterm_says_and_does_nothing_more(run, capfd):
    assert kept(run, signal.SIGTERM, signal.SIGTERM)[1] is Stop.TERMINATION
    assert capfd.readouterr().err.count("SIGTERM") == 1


def test_a_repeated_interrupt_is_one(run):
    # A shell that runs the tests in the background lets them ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        kept(run, signal.SIGINT, signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def test_the_former_handlers_come_back(run):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    kept(run)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_an_interrupt_that_is_ignored_stays_ignored(run):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert kept(run, signal.SIGINT)[1] is Stop.NO
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_sigterm_that_lightning_has_kept_counts_once(run):
    run._signal_connector.received_sigterm = True
    assert kept(run)[1] is Stop.TERMINATION
    assert kept(run)[1] is Stop.NO


def test_other_threads_cannot_keep_signals(run):
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=StopSignals().take, args=(run,))
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before
