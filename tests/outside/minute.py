"""A server that is watched for more than a minute, beside the other tests."""

import contextlib
import tempfile
import threading
import time
from typing import NamedTuple

from harness import PATIENCE, Client, Peer, Server, parse_stats

THROTTLED = b"ERR shutdown-throttled\n"
INVALID = b"ERR shutdown-token-invalid\n"


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
            self.server = Server(f"--shutdown-token-file={token.name}")
        self.samples = []
        self.error = None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        try:
            self._begin()
        except BaseException:
            self.server.kill()
            raise

    def _begin(self):
        self.client = Client("127.0.0.1", self.server.tcp_port)
        self.idle = Client("127.0.0.1", self.server.tcp_port)
        self.unfinished = Client("127.0.0.1", self.server.tcp_port)
        self.begun = time.monotonic()
        self.unfinished.send(b"begun")
        self.guesses = [self.client.ask(b"/shutdown wrong\n") for _ in range(5)]
        with contextlib.closing(Peer("127.0.0.1", self.server.udp_port)) as once:
            once.ask(b"once")
        self.thread.start()

    def _watch(self):
        try:
            with contextlib.closing(Peer("::1", self.server.udp_port)) as again_and_again:
                forgiven = False
                while not self.over.wait(1 if self.samples else 0):
                    again_and_again.ask(b"again")
                    asked = time.monotonic() - self.begun
                    peers = parse_stats(self.client.ask(b"/stats\n"))["active_udp_peers"]
                    guess = INVALID if forgiven else self.client.ask(b"/shutdown wrong\n")
                    forgiven = guess == INVALID
                    quiet = self.idle.silent(), self.unfinished.silent()
                    answered = time.monotonic() - self.begun
                    self.samples.append(Sample(asked, answered, peers, guess, *quiet))
        except Exception as error:
            self.error = error

    def wait(self, condition):
        """The samples up to the first that fulfils the condition."""
        while not self.error:
            samples = list(self.samples)
            for count, sample in enumerate(samples, 1):
                if condition(sample):
                    return samples[:count]
            if samples[-1].asked > 60 + PATIENCE:
                raise AssertionError(f"in vain; the last was {samples[-1]}")
            time.sleep(0.1)
        raise AssertionError(f"the watch broke off: {self.error!r}")

    def close(self):
        self.over.set()
        self.thread.join(PATIENCE)
        for client in (self.client, self.idle, self.unfinished):
            client.close()
        self.server.kill()
