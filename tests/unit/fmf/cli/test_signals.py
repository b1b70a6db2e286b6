from __future__ import annotations

import os
import signal
import threading

import pytest

from fmf.chains.stop import Stop, StopReason
from fmf.cli.signals import stopping


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_asks_and_the_second_gives_up(number):
    before = signal.getsignal(number)
    stop = Stop()
    with stopping(stop):
        os.kill(os.getpid(), number)
        assert stop.reason is StopReason.INTERRUPTED
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_other_threads_leave_the_handlers_alone():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work():
        with stopping(Stop()):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
