"""SECURITY.md quotes the run that is kept, and that run had every attack."""

import csv

import results
from catalogue import ATTACKS


def test_the_figures_in_security_are_those_of_the_kept_run():
    assert not list(results.wrong())


def test_the_kept_run_had_every_attack():
    with open(results.PLACE / "results.csv", newline="") as file:
        kept = {(row["server"], row["load"]) for row in csv.DictReader(file)}
    assert kept == {(attack.name, attack.variant) for attack in ATTACKS}


def test_a_figure_that_is_not_the_kept_one_is_found(tmp_path, monkeypatch):
    changed = tmp_path / "SECURITY.md"
    changed.write_text(results.DOCUMENT.read_text().replace("<!--/bench-->", "1<!--/bench-->"))
    monkeypatch.setattr(results, "DOCUMENT", changed)
    assert list(results.wrong())
