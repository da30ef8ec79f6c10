"""A server that is watched for more than a minute, beside the other tests."""

import tempfile
import threading
import time
from typing import NamedTuple

from harness.clients import Client, Peer
from harness.daemon import Daemon
from harness.lines import TOKEN_INVALID
from harness.wait import PATIENCE


class Sample(NamedTuple):
    asked: float  # seconds since the beginning
    answered: float
    peers: int
    guess: bytes
    idle_is_open: bool
    begun_is_open: bool


class Minute:
    """One UDP peer speaks once, one goes on speaking; five wrong guesses, and one a second;
    a connection that says nothing, and one that does not end its line."""

    def __init__(self):
        with tempfile.NamedTemporaryFile() as token:
            token.write(b"open sesame")
            token.flush()
            self.server = Daemon(f"--shutdown-token-file={token.name}")
        self.samples = []
        self.error = None
        self.changed = threading.Condition()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        try:
            self._begin()
        except BaseException:
            self.server.kill()
            raise

    def _begin(self):
        self.client, self.idle, self.unfinished = (Client("127.0.0.1", self.server.tcp_port) for _ in range(3))
        self.begun = time.monotonic()
        self.unfinished.send(b"begun")
        self.guesses = [self.client.ask(b"/shutdown wrong\n") for _ in range(5)]
        with Peer("127.0.0.1", self.server.udp_port) as once:
            once.ask(b"once")
        self.thread.start()

    def _watch(self):
        try:
            with Peer("::1", self.server.udp_port) as again_and_again:
                forgiven = False
                while not self.over.wait(1 if self.samples else 0):
                    again_and_again.ask(b"again")
                    asked = time.monotonic() - self.begun
                    peers = self.client.stats()["active_udp_peers"]
                    guess = TOKEN_INVALID if forgiven else self.client.ask(b"/shutdown wrong\n")
                    forgiven = guess == TOKEN_INVALID
                    quiet = self.idle.silent(), self.unfinished.silent()
                    answered = time.monotonic() - self.begun
                    with self.changed:
                        self.samples.append(Sample(asked, answered, peers, guess, *quiet))
                        self.changed.notify_all()
        except Exception as error:
            with self.changed:
                self.error = error
                self.changed.notify_all()

    def wait(self, condition):
        """The samples up to the first that fulfils the condition."""

        def found():
            return next((self.samples[:n] for n, sample in enumerate(self.samples, 1) if condition(sample)), None)

        with self.changed:
            self.changed.wait_for(lambda: self.error or found(), 65 + PATIENCE)
        assert not self.error, f"the watch broke off: {self.error!r}"
        assert found(), f"in vain; the last was {self.samples[-1:]}"
        return found()

    def close(self):
        self.over.set()
        self.thread.join(PATIENCE)
        for client in (self.client, self.idle, self.unfinished):
            client.close()
        self.server.kill()
