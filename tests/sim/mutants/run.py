#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The test of the simulation: puts each fault of mutants.toml into a copy of src/, and shows that
the simulation finds it.

    run.py [--seeds N] [--source src] [--build build/sim] [NAME...]

It needs the simulation built in that directory, and is run from the project's root. Each mutant has one processor, so that
the seed that catches it is always the same one.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TABLE = Path(__file__).with_name("mutants.toml")


def plant(mutant, source):
    """Changes one file; False if the place is not there, or more than once."""
    path = source / mutant["file"]
    text = path.read_text()
    if text.count(mutant["old"]) != 1:
        return False
    path.write_text(text.replace(mutant["old"], mutant["new"]))
    return True


def prepare(directory, options):
    """The sources, and the objects of the unchanged ones, so that only one is compiled."""
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(options.source, directory / "source")
    shutil.copytree(options.build / "src", directory / "src", ignore=shutil.ignore_patterns("*.d"))


def build(directory, options):
    return subprocess.run(
        [
            "make",
            f"SIM_B={directory}",
            f"SIM_OWN={options.build}/own",
            f"SIM_SOURCES={directory}/source",
            f"{directory}/sim",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def caught(directory, seeds):
    """What the simulation says, and the seed; or None."""
    run = subprocess.run(
        [f"{directory}/sim", "--jobs", "1", "--seeds", f"1-{seeds}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="backslashreplace",
    )
    failed = re.search(r"^FAILED seed (\d+)", run.stderr, re.MULTILINE)
    if run.returncode == 0 or not failed:
        return None
    return int(failed[1]), run.stderr.splitlines()[0]


def try_mutant(mutant, options):
    """Whether it was caught, and a line for the report."""
    directory = options.build / "mutants" / mutant["name"]
    prepare(directory, options)
    if not plant(mutant, directory / "source"):
        return False, f"{mutant['name']}: does not apply to src/{mutant['file']}"
    made = build(directory, options)
    if made.returncode != 0:
        return False, f"{mutant['name']}: does not compile\n{made.stdout}"
    found = caught(directory, options.seeds)
    shutil.rmtree(directory / "src")
    if not found:
        return False, f"{mutant['name']}: NOT CAUGHT within {options.seeds} seeds ({mutant['why']})"
    return True, f"{mutant['name']}: caught at seed {found[0]}: {found[1]}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=8000)
    parser.add_argument("--source", type=Path, default=Path("src"))
    parser.add_argument("--build", type=Path, default=Path("build/sim"))
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    mutants = tomllib.loads(TABLE.read_text())["mutant"]
    if options.names:
        mutants = [mutant for mutant in mutants if mutant["name"] in options.names]
    alive = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for ok, line in pool.map(lambda m: try_mutant(m, options), mutants):
            print(line, flush=True)
            alive += not ok
    print(f"{len(mutants) - alive} of {len(mutants)} mutants caught")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
