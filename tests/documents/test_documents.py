"""The documents agree with the program."""

import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def read(name):
    return (ROOT / name).read_text()


def run(*words):
    return subprocess.run([str(ROOT / words[0]), *words[1:]], capture_output=True, text=True, timeout=30, check=True)


def options_of_help():
    """The options in --help, each as the set of its names."""
    lines = run("epoll-echo", "--help").stdout.splitlines()
    found = [set(re.findall(r"(?<!\S)(-\w|--[\w-]+)", line[:40])) for line in lines if re.match(r" +(-\w, )?--", line)]
    assert len(found) > 10
    return found


def names_of_help():
    return set().union(*options_of_help())


def test_the_man_page_lists_the_options_of_help():
    items = [line for line in read("man/epoll-echo.8").splitlines() if line.startswith(".It Fl")]
    documented = {"--" + name for line in items for name in re.findall(r"Fl -([\w-]+)", line)}
    documented |= {"-" + name for line in items for name in re.findall(r"Fl (\w)\b", line)}
    assert documented == names_of_help()


def test_every_default_of_help_is_in_the_man_page():
    page = " ".join(read("man/epoll-echo.8").split())
    for default in re.findall(r"\((\d+)\)$", run("epoll-echo", "--help").stdout, re.MULTILINE):
        assert default in page


def test_the_version_is_the_newest_of_the_news():
    newest = re.search(r"^## ([\d.]+)", read("NEWS.md"), re.MULTILINE).group(1)
    assert run("epoll-echo", "--version").stdout.splitlines()[0] == f"epoll-echo {newest}"


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_what_the_documents_name_is_there(document):
    text = read(document)
    files = re.findall(r"\]\(([\w./-]+)\)", text) + re.findall(r"`((?:src|man|docs|tests|bench)/[\w./-]+)`", text)
    # What `make bench` writes is not kept, and what a page has its reader write is not there.
    made = set(re.findall(r"<!-- new (\S+) -->", text))
    files = [name for name in files if not name.startswith("bench/report/") and name not in made]
    assert not [name for name in files if not (ROOT / name).exists()]


def test_architecture_names_every_module_on_its_floor():
    rows = re.findall(r"^\| `(src/[a-z/]*)` \| ([\w, ]+) \|", read("ARCHITECTURE.md"), re.MULTILINE)
    named = {folder: set(modules.split(", ")) for folder, modules in rows}
    there = {}
    for path in (ROOT / "src").rglob("*.[ch]"):
        there.setdefault(f"{path.parent.relative_to(ROOT)}/", set()).add(path.stem)
    assert named == there


def test_architecture_gives_a_reason_for_each_call_of_the_sandbox():
    rules = re.findall(r"\{\.number = SYS_(\w+)", read("src/system/sandbox.c"))
    text = read("ARCHITECTURE.md").partition("## The sandbox")[2].partition("\n## ")[0]
    serving, start = [[row.split("|")[1:3] for row in table.splitlines() if row.startswith("| `")]
                      for table in text.split("\n| call |")[1:]]
    assert all(reason.strip() for _, reason in serving + start)
    named = [name for calls, _ in serving + start for name in re.findall(r"`(\w+)`", calls)] + ["socketcall"]
    assert set(named) == set(rules)
    assert len(serving) <= 24
    for document, words in (("README.md", "{} system calls"), ("SECURITY.md", "system calls but {} "),
                            ("man/epoll-echo.8", "system call but {}.")):
        assert words.format(len(serving)) in read(document)


@pytest.mark.parametrize("constant, header, quoted", [
    ("PEERS_MAX", "core/peers.h", "32768"),
    ("PEERS_LONGER_PER_PEER", "core/peers.h", "10 a second"),
    ("BUDGET_PER_HOST", "core/budget.h", "50 to a host"),
    ("BUDGET_IN_ALL", "core/budget.h", "100 in all"),
    ("PEERS_ROUNDS_MAX", "core/peers.h", "16384"),
    ("BUSY_MAX", "transport/pool.h", "256"),
    ("TURN_TEXTS_MAX", "core/turn.h", "256 command answers"),
    ("LOG_RATE", "ground/log.h", "20 a second"),
])
def test_the_bounds_in_the_readme_are_those_of_the_source(constant, header, quoted):
    value = re.search(rf"{constant} = (\d+)", read(f"src/{header}")).group(1)
    assert re.match(r"\d+", quoted).group(0) == value
    assert quoted in read("README.md")


def test_the_stripped_binary_is_at_most_128_kib(tmp_path):
    small = tmp_path / "stripped"
    subprocess.run(["strip", "-o", small, ROOT / "epoll-echo"], check=True)
    assert small.stat().st_size <= 128 * 1024
