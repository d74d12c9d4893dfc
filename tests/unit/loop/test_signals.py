import os
import signal
import threading

import pytest

from streetvision_core.loop.signals import stop_on_signals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stop_on_signals__first_signal_counts_and_handlers_return(number, code):
    before = signal.getsignal(number)
    with stop_on_signals() as stop:
        assert stop.exit_code == 0
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.exit_code == code
    assert signal.getsignal(number) is before


def test_stop_on_signals__does_nothing_in_another_thread():
    codes = []

    def run():
        with stop_on_signals() as stop:
            codes.append(stop.exit_code)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert codes == [0]
