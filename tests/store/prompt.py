"""The prompt of `perf-api sql`, typed at on a terminal of its own.

python tests/store/prompt.py PERF_API RESULTS
"""

import os
import pathlib
import pty
import select
import signal
import sys
import tempfile
import time

program, results = sys.argv[1:]
signal.alarm(120)
state = tempfile.TemporaryDirectory()


def session(typed: list[tuple[bytes, bytes]]) -> int:
    """Types each text and waits for what must be shown; gives the exit code."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(XDG_STATE_HOME=state.name, TERM="xterm")
        os.execv(program, [program, "sql", "--results", results])
    seen = b""
    # A key that is pressed before the prompt is there can be lost.
    for keys, expected in [*typed, (b"", b"sql> ")]:
        os.write(terminal, keys)
        deadline = time.monotonic() + 30
        while expected not in seen:
            assert time.monotonic() < deadline, f"{keys!r} showed {seen!r}, and not {expected!r}"
            if select.select([terminal], [], [], 0.5)[0]:
                seen += os.read(terminal, 65536)
        seen = seen[seen.index(expected) + len(expected):]
    # Leave: Ctrl-D.
    os.write(terminal, b"\x04")
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:
        pass
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


code = session([
    (b"", b"sql> "),
    (b"select count(*) as everything\r", b"...> "),
    (b"from trials;\r", b"everything"),
    (b"", b"sql> "),
    (b"select nothing from trials;\r", b"No field named nothing"),
    (b"", b"sql> "),
    (b"select 40 + 2 as answer;\r", b"| 42 "),
])
assert code == 0, f"the prompt ended with {code}"
history = pathlib.Path(state.name, "perf-api/sql_history").read_text()
assert "40 + 2" in history, history
# The up arrow brings back what the last session asked.
code = session([(b"", b"sql> "), (b"\x1b[A", b"40 + 2"), (b"\r", b"| 42 ")])
assert code == 0, f"the prompt ended with {code}"
print("prompt: queries, a mistake, and the history of the session before")
