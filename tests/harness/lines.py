"""The line protocol, written anew: what the daemon has to answer, and clients to ask it at random."""

import re

MAX_LINE = 4096
BUSY = b"Server Busy\n"
GOODBYE = b"OK, shutting down\n"
TOO_LONG = b"ERR too-long-line\n"
LATE_LINE = b"ERR line-timeout\n"
TRUNCATED = b"ERR datagram-truncated\n"
UNKNOWN = b"ERR unknown-command\n"
TOKEN_REQUIRED = b"ERR shutdown-token-required\n"
TOKEN_MISSING = b"ERR shutdown-token-missing\n"
TOKEN_INVALID = b"ERR shutdown-token-invalid\n"
NOT_LOOPBACK = b"ERR shutdown-loopback-required\n"
NOT_ALLOWED = b"ERR shutdown-not-allowed\n"
THROTTLED = b"ERR shutdown-throttled\n"

WHITE = b" \t\n\v\f\r"
STATS = rb"total_clients=(\d+) active_udp_peers=(\d+) connected_tcp=(\d+)( \w+=\S+)*\n"
TIME = rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d{9}Z\n"
WHOAMI = rb"proto=%s peer=\S+:\d+ local=\S+:\d+( \w+=\S+)*\n"
HELP = rb"[^\n]*/stats[^\n]*\n"
GUESS = rb"ERR shutdown-(token-invalid|throttled)\n"


def pattern(message, proto):
    """A pattern of the answer to MESSAGE: a line of TCP without its LF, or a datagram. A
    token is configured, and is not what MESSAGE guesses."""
    if not message.startswith(b"/"):
        return re.escape(message + b"\n" * (proto == "tcp"))
    name = re.match(rb"[^%s]*" % re.escape(WHITE), message)[0]
    if name == b"/shutdown" and proto == "tcp":
        return GUESS if message[len(name):].lstrip(WHITE).rstrip(b"\r\n") else TOKEN_REQUIRED
    return {b"/stats": STATS, b"/time": TIME, b"/whoami": WHOAMI % proto.encode(), b"/help": HELP,
            b"/shutdown": NOT_ALLOWED}.get(name, UNKNOWN)


class Stream:
    """What has to come back on a connection for the bytes that are sent on it, however they are cut.

    Of commands it knows only those whose answer is always the same."""

    def __init__(self, max_line=MAX_LINE):
        self.max_line = max_line
        self.question, self.answer = bytearray(), bytearray()
        self.ends = [(0, 0)]  # of each whole line in the question, and of its answer
        self.line = b""  # begun
        self.overlong = 0  # in a row
        self.discarding = False  # the rest of an overlong line
        self.closed = False  # by the daemon, whatever else is sent

    def add(self, data):
        """DATA is sent next."""
        for piece in re.findall(rb"[^\n]*\n|[^\n]+", data):
            self.question += piece
            if not self.closed:
                self._take(piece)
        return self

    def _take(self, piece):
        whole = piece.endswith(b"\n")
        if not self.discarding:
            self.line += piece
            if len(self.line) - whole > self.max_line:
                self.discarding, self.line = True, b""
                self.overlong += 1
                self._say(TOO_LONG)
                self.closed = self.overlong == 2
            elif whole:
                self._say(self._fixed(self.line))
                self.line, self.overlong = b"", 0
        self.discarding = self.discarding and not whole

    def end(self):
        """Nothing more is sent: a line that was begun is answered as it is."""
        if self.line:
            self.answer += self._fixed(self.line)
        self.line, self.closed = b"", True
        return self

    @staticmethod
    def _fixed(line):
        if not line.startswith(b"/"):
            return line
        answer = pattern(line.removesuffix(b"\n"), "tcp")
        assert answer in (UNKNOWN, TOKEN_REQUIRED), line
        return answer

    def _say(self, answer):
        self.answer += answer
        self.ends.append((len(self.question), len(self.answer)))


def random_bytes(rng, count):
    return rng.randbytes(count).replace(b"\n", b"\r")


def random_line(rng, overlong=False):
    """A line of any kind, LF and all; an overlong one in twenty only where OVERLONG allows it."""
    kind = rng.randrange(20)
    if kind == 0 and overlong:
        return random_bytes(rng, rng.randrange(MAX_LINE + 1, 3 * MAX_LINE)) + b"\n"
    if kind == 1:
        return b"/nothing " + random_bytes(rng, rng.randrange(200)) + b"\n"
    size = MAX_LINE if kind == 2 else rng.randrange(2 ** rng.randrange(1, 13))
    line = random_bytes(rng, size) + b"\n"
    return b"x" + line[1:] if line.startswith(b"/") else line


def random_talk(rng, count):
    """What a whole connection says: no two overlong lines in a row, and in half of all cases an end without LF."""
    lines = []
    for _ in range(count):
        lines.append(random_line(rng, overlong=not lines or len(lines[-1]) <= MAX_LINE + 1))
    if rng.randrange(2):
        lines.append(b"the end" + random_bytes(rng, rng.randrange(1, 1000)))
    return b"".join(lines)
