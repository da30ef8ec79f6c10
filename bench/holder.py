"""Who holds connections that say nothing: bench/hold/hold.c, told what to do."""

import subprocess
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent.parent / "build/hold"


class Failed(Exception):
    """What it was told to do did not work."""


class Holder:
    """Connections from SOURCE to HOST:PORT. What options there are beyond these are Popen's."""

    def __init__(self, host, port, source, command=(), **popen):
        self.process = subprocess.Popen([*command, PROGRAM, host, str(port), source], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1, **popen)
        self.held = 0

    def tell(self, command):
        """Has it begin; answer() waits until it is done."""
        self.process.stdin.write(f"{command}\n")

    def answer(self):
        words = self.process.stdout.readline().split()
        if not words:
            raise Failed("whoever holds the connections has ended")
        if words[0] == "failed":
            raise Failed(f"connection {self.held + int(words[1]) + 1} of one holder: {' '.join(words[2:])}")
        return {word: int(count) for word, count in zip(words[::2], words[1::2])}

    def do(self, command):
        self.tell(command)
        return self.answer()

    def open(self, count):
        self.do(f"open {count}")
        self.held += count

    def close(self, count):
        self.held -= self.do(f"close {count}")["closed"]

    def look(self):
        return self.do("look")

    def ask(self):
        return self.do("ask")

    def end(self):
        """All that it holds is closed with it."""
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
