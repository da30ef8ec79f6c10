"""The run that SECURITY.md quotes: tests/attacks/results, kept by `measure --update`."""

import json
import re
import subprocess
import sys

from harness.daemon import ROOT

sys.path.insert(0, str(ROOT / "bench"))

import figures

PLACE = ROOT / "tests/attacks/results"
DOCUMENT = ROOT / "SECURITY.md"
QUOTES = [str(ROOT / "bench/quotes.py"), f"--csv={PLACE / 'results.csv'}"]
MACHINE = re.compile(r"(?<=<!--machine-->).*?(?=<!--/machine-->)", re.DOTALL)


def machine_in_words(machine):
    kind = "virtual machine" if machine["virtual"] else "machine"
    return (f"{machine['date'][:10]}, a {kind} with {machine['cores']} cores ({machine['cpu']}), Linux "
            f"{machine['kernel'].partition('-')[0]}; other programs took {machine['foreign_percent']:.0f} % of it")


def keep(outcomes, machine):
    """Keeps the figures of all attacks, and corrects the document."""
    PLACE.mkdir(parents=True, exist_ok=True)
    figures.write(PLACE / "results.csv", {
        (outcome.attack.name, outcome.attack.variant, name): figures.figure([value])
        for outcome in outcomes for name, value in outcome.figures.items()})
    (PLACE / "machine.json").write_text(json.dumps(machine, indent=1) + "\n")
    DOCUMENT.write_text(MACHINE.sub(machine_in_words(machine), DOCUMENT.read_text()))
    subprocess.run([*QUOTES, "--update", str(DOCUMENT)], check=True)


def wrong():
    """What the document says that the kept run does not."""
    done = subprocess.run([*QUOTES, "--check", str(DOCUMENT)], capture_output=True, text=True, check=False)
    yield from done.stderr.splitlines()
    machine = json.loads((PLACE / "machine.json").read_text())
    if MACHINE.findall(DOCUMENT.read_text()) != [machine_in_words(machine)]:
        yield f"the machine was: {machine_in_words(machine)}"
