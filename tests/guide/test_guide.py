# SPDX-License-Identifier: MIT
"""The guide says what the files say, and the sessions say what happens."""
import os
import re
import shutil
import subprocess

import pytest

import programs
import quote
import record
from test_mistakes import NAMES

GUIDE = quote.GUIDE.read_text()
SANITIZED = "sanitize" in os.environ.get("GUIDE_CFLAGS", "")


def test_blocks_are_what_they_quote():
    assert quote.fill(GUIDE) == GUIDE, "run docs/quote.py"


def test_every_block_is_quoted():
    assert quote.unquoted(GUIDE) == []


def test_every_session_and_mistake_is_in_the_guide():
    assert set(re.findall(r"<!-- quote docs/sessions/([\w-]+)\.txt", GUIDE)) == set(record.MADE)
    assert set(re.findall(r"\| \[([\w-]+)\]\(\.\./examples/mistakes", GUIDE)) == set(NAMES)


def test_commands_work_from_one_folder():
    """It is named once, at the top; what is run there is there."""
    assert re.findall(r"\bcd \S+", GUIDE) == ["cd build/examples"]
    assert not re.findall(r"build/(?!examples\n)", GUIDE)
    commands = re.findall(r"(?m)^(?:\$| {4}) ?(?:.* )?((?:\./|mistakes/)[\w-]+)", GUIDE)
    assert len(commands) > 20
    for command in commands:
        assert (programs.ROOT / "examples" / f"{command}.c").exists(), command
    for source in re.findall(r"(?m)^\$ cc .* (\S+\.c)$", GUIDE):
        assert (programs.ROOT / "build/examples" / source).resolve().exists(), source


def test_links_lead_somewhere():
    headings = {re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
                for line in GUIDE.splitlines() if line.startswith("#")}
    for target in re.findall(r"\]\(([^)]+)\)", GUIDE):
        if target.startswith("#"):
            assert target[1:] in headings
        else:
            assert (quote.GUIDE.parent / target).exists(), target


@pytest.mark.skipif(SANITIZED, reason="sessions show plain builds")
@pytest.mark.parametrize("name", [name for name in record.MADE if name != "mistakes"])
def test_session_can_be_made_again(name, pytestconfig):
    if not pytestconfig.own_namespace:
        pytest.skip("needs root, for a network namespace")
    reason = record.missing(name)
    if reason:
        pytest.skip(reason)
    recorded = (record.SESSIONS / f"{name}.txt").read_text()
    assert record.structure(name, record.make(name)) == record.structure(name, recorded), \
        f"run docs/record.py {name} and docs/quote.py, and read what the guide says about it"


def test_a_table_of_figures_is_made(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text("server,load,metric,median,low,high,runs\nepoll,tcp-50,cpu_us,4.0512,4,4.5678,7\n"
                    "poll,idle,cpu_us,1234.5,1200,1300,7\nepoll,idle,cpu_us,4,4,4,7\n")
    assert quote.table(path, ["epoll", "poll"], ["tcp-50 cpu_us: µs", "idle cpu_us: µs, idle"]) == (
        "| | µs | µs, idle |\n| --- | ---: | ---: |\n"
        "| epoll | 4.05 (4–4.57) | 4 (4–4) |\n| poll | – | 1,230 (1,200–1,300) |\n")


def test_below_the_figures_stands_what_a_call_costs(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text("server,load,metric,median,low,high,runs\nepoll,tcp-50,cpu_us,4.0512,4,4.5678,7\n"
                    "machine,all,call_ns,1049.7,1000,1100,4\n")
    assert quote.table(path, ["epoll"], ["tcp-50 cpu_us: µs"]).endswith(
        "| epoll | 4.05 (4–4.57) |\n\nA system call that does nothing took 1,050 ns there.\n")


def c_files():
    return sorted((programs.ROOT / "examples").glob("**/*.[ch]"))


@pytest.mark.parametrize("path", c_files(), ids=lambda path: path.name)
def test_source_is_short_and_plain(path):
    lines = path.read_text().splitlines()
    assert lines[0] == "// SPDX-License-Identifier: MIT"
    assert max(map(len, lines)) <= 100
    lesson = path.parent.name == "examples" and path.suffix == ".c"
    assert len(lines) <= (160 if path.stem in ("reputation", "costs") else 140 if lesson else 110)


@pytest.mark.skipif(not shutil.which("clang-format-14"), reason="needs clang-format-14")
def test_sources_are_formatted():
    subprocess.run(["clang-format-14", "--style=file", "--dry-run", "-Werror", *c_files()],
                   check=True, cwd=programs.ROOT)
