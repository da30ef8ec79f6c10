# SPDX-License-Identifier: MIT
"""Every system call fails, and every allocation, and nobody is lost but the one whose it was.

The short form takes the most telling errors, and the first and a late call; FAULTS=all takes every
error and every place. All cases run at once, in networks of their own; the tests only look at how
each ended. The table goes to build/faults.md.
"""

import os
from concurrent.futures import ProcessPoolExecutor

import pytest
from cases import ALL, ERRORS, LEFT_OUT, Baseline, cases_of, ended, outcome, problems
from faulty import ALLOC, BUILD, STATIC
from harness.fixtures import need
from harness.network import own_network
from scenario import run_once

# A case waits most of its time, for the line timeout.
WORKERS = 4 * (os.cpu_count() or 1)


def _baseline():
    """What is called without a fault, and the number of allocations."""
    need("check-faults", STATIC, ALLOC)
    with ProcessPoolExecutor(2, initializer=own_network) as pool:
        results = list(pool.map(run_once, (None, None), (None, "0")))
    for result in results:
        if result["status"] != 0 or result["lost"] or result["wrong"]:
            pytest.exit(f"without a fault it does not work either: {result}", returncode=1)
    return Baseline(results[0]["calls"]), results[1]["allocations"]


class Runs:
    """All cases, begun at once."""

    def __init__(self):
        self.baseline, allocations = _baseline()
        self.cases = list(cases_of(self.baseline))
        self.allocations = [str(n) for n in range(1, allocations + 1)]
        self.allocations += [f"{n}+" for n in (self.allocations if ALL else [7, allocations // 2])]
        self.pool = ProcessPoolExecutor(WORKERS, initializer=own_network)
        self.results = {}
        self.outcomes = []

    def start(self):
        for case in self.cases:
            self.results[case.name] = self.pool.submit(run_once, case.inject)
        for number in self.allocations:
            self.results[number] = self.pool.submit(run_once, None, number)

    def tell(self, call, error, which, outcome):
        self.outcomes.append(f"| {call} | {error} | {which} | {outcome} |")

    def report(self):
        lines = [
            "# Faults injected, and what became of them",
            "",
            f"{len(self.outcomes)} cases, made by tests/faults. A number counts the calls from the "
            "daemon's first step on.",
            "",
            "| call | error | which | outcome |",
            "| --- | --- | --- | --- |",
            *self.outcomes,
            "",
            "Not made to fail:",
            "",
            *(f"- {call}: {why}" for call, why in LEFT_OUT.items()),
            "",
        ]
        (BUILD / "faults.md").write_text("\n".join(lines))


runs = Runs()


@pytest.fixture(scope="session", autouse=True)
def _all_at_once():
    runs.start()
    yield
    runs.pool.shutdown(cancel_futures=True)
    runs.report()


def test_every_call_is_in_the_table():
    assert set(runs.baseline.own) <= ERRORS.keys() | LEFT_OUT.keys()


@pytest.mark.parametrize("case", runs.cases, ids=lambda case: case.name)
def test_call_fails(case):
    result = runs.results[case.name].result()
    runs.tell(case.call, case.error, case.when, outcome(result))
    found = problems(case, result, runs.baseline.total)
    assert not found, f"{found}\n{result['log']}"


@pytest.mark.parametrize("number", runs.allocations)
def test_allocation_fails(number):
    result = runs.results[number].result()
    runs.tell("malloc", "ENOMEM", number, ended(result))
    assert not result["wrong"], result
    if not result["started"]:
        assert result["status"] == 1, result
        assert "level=error" in result["log"]
        return
    assert result["status"] == 0, result
    # From one on, all fail: nobody new is served, but nobody who needs no memory is lost.
    assert number.endswith("+") or len(result["lost"]) <= 1, result
