"""A child that is forked while a lock is held does not wait for it."""

from __future__ import annotations

import os

import pytest

import children


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_a_child_finds_the_lock_free() -> None:
    output = children.run("""
        import os, signal, threading, time, warnings
        warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)  # Python's, since 3.12.
        from tatamu.adopt.locks import lock
        guard, held = lock(), threading.Event()
        def hold():
            with guard:
                held.set()
                time.sleep(0.2)
        threading.Thread(target=hold).start()
        held.wait()
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            with guard:
                os._exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """)
    assert output == "7\n"
