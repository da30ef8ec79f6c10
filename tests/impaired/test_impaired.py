# SPDX-License-Identifier: MIT
"""Streams stay exact, and datagrams what they were, over a line that loses, doubles, overtakes,
delays and damages packets, changes its limit for their size, and tells of errors that are none.

Each seed is a universe of its own (universe.py); all run at once, in networks of their own, and the
tests only look at how each ended. IMPAIRED_SEEDS says how many. The table goes to build/impaired.md.
"""

import os
from concurrent.futures import ProcessPoolExecutor

import pytest
from harness.fixtures import need
from universe import MISTAKES, RELAY, ROOT, run_once

SEEDS = range(1, int(os.environ.get("IMPAIRED_SEEDS", "40")) + 1)
# A universe waits most of its time.
WORKERS = 3 * (os.cpu_count() or 1)
# The relay's counts.
COUNTS = {
    "packets": "packets",
    "lost": "lost",
    "doubled": "doubled",
    "damaged": "damaged",
    "too_big": "too big for the next hop",
    "errors": "ICMP errors, true and forged",
    "limits": "changes of a device's limit",
    "asked": "datagrams that came to the server",
    "answered": "that it answered",
    "excess": "answered too often",
    "missing": "not answered, for its socket had no room",
}
SEEDS_OF_A_MISTAKE = (3, 5, 6)  # not each has a short send


class Runs:
    def __init__(self):
        self.pool = ProcessPoolExecutor(WORKERS)
        self.seeds = {}
        self.mistakes = {}
        self.results = {}

    def again(self, seed):
        """Where the test is tried once more, so is the universe."""
        if seed in self.results:
            self.seeds[seed] = self.pool.submit(run_once, seed)
        return self.seeds[seed]

    def start(self):
        self.seeds = {seed: self.pool.submit(run_once, seed) for seed in SEEDS}
        self.mistakes = {
            mistake: [self.pool.submit(run_once, seed, mistake) for seed in SEEDS_OF_A_MISTAKE]
            for mistake in MISTAKES
        }

    def report(self):
        results = self.results.values()
        counts = [result["counts"] for result in results if result["counts"]]
        if not counts:
            return
        lines = [
            "# What a bad line did, and what became of it",
            "",
            f"{len(results)} universes, made by tests/impaired; the line's counts, each over all of them.",
            "",
            "| | |",
            "| --- | ---: |",
            f"| bytes that came back by TCP | {sum(result['bytes'] for result in results)} |",
            f"| datagrams that came back | {sum(result['datagrams'] for result in results)} |",
            *(f"| {text} | {sum(count[name] for count in counts)} |" for name, text in COUNTS.items()),
            f"| universes that went wrong | {sum(bool(result['problems']) for result in results)} |",
            "",
        ]
        (ROOT / "build/impaired.md").write_text("\n".join(lines))


runs = Runs()


@pytest.fixture(scope="session", autouse=True)
def _all_at_once():
    need("impaired-programs", RELAY, *filter(None, MISTAKES.values()))
    runs.start()
    yield
    runs.pool.shutdown(cancel_futures=True)
    runs.report()


def _result(future):
    result = future.result()
    if result["impossible"]:
        pytest.skip(f"needs two network namespaces and tun devices: {result['impossible']}")
    return result


@pytest.mark.parametrize("seed", SEEDS)
def test_everything_arrives_as_it_was(seed):
    result = _result(runs.again(seed))
    runs.results[seed] = result
    assert not result["problems"], f"tests/impaired/universe.py {seed}\n{result}"


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_seen(mistake):
    """Else the others would prove nothing."""
    assert any(_result(future)["problems"] for future in runs.mistakes[mistake])
