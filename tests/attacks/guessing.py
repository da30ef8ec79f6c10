"""Attacks on the token for /shutdown: trying, and listening to how long a refusal takes."""

import collections
import contextlib
import subprocess
import tempfile
import time
from pathlib import Path

from ground import PROGRAMS, connect, serving
from harness.lines import THROTTLED, TOKEN_INVALID

GUESSES_MOST, WINDOW_SECONDS = 5, 60
TOKEN = b"0123456789abcdef"


@contextlib.contextmanager
def token_file():
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "token")
        path.write_bytes(TOKEN + b"\n")
        path.chmod(0o600)
        yield path


def guesses(polite, connections, seconds):
    """As many as go, over several connections; the right one too, once nothing is examined any more."""
    with token_file() as path, serving(f"--shutdown-token-file={path}") as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(connections)]
        polite.begin(server, clients[0])
        begun = time.monotonic()
        answers = collections.Counter(clients[0].ask(b"/shutdown %d\n" % guess) for guess in range(GUESSES_MOST))
        assert answers == {TOKEN_INVALID: GUESSES_MOST}
        while True:
            for client in clients:
                block = [b"/shutdown %d\n" % guess for guess in range(100)]
                if time.monotonic() - begun < WINDOW_SECONDS / 2:
                    block.append(b"/shutdown %s\n" % TOKEN)
                client.send(b"".join(block))
                answers.update(client.line() for _ in block)
            took = time.monotonic() - begun
            if took >= seconds:
                break
        assert answers.keys() == {TOKEN_INVALID, THROTTLED}
        assert answers[TOKEN_INVALID] <= GUESSES_MOST * (took // WINDOW_SECONDS + 1)
        return {**polite.end(), "guesses": answers.total(), "seconds": took, "examined": answers[TOKEN_INVALID]}


def constant_time():
    """Under valgrind, with the token marked as undefined; and the same with two planted leaks."""
    figures = {}
    for variant in ("", "memcmp", "length"):
        words = ["valgrind", "-q", str(PROGRAMS / "constant"), *([variant] if variant else [])]
        done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
        said = dict(pair.split("=") for pair in done.stdout.split())
        assert said, done.stderr
        errors = int(said["errors"])
        assert (errors > 0) == bool(variant), f"{variant}: {done.stderr}"
        assert done.returncode == bool(variant), f"{variant}: {done.stdout}"
        figures[f"{variant or 'own'}_errors"] = errors
        if not variant:
            figures["guesses"] = int(said["guesses"])
    return figures
