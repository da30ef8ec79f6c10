"""The changes that CONTRIBUTING.md shows, made in a copy of the tree, do what it says."""

import pathlib
import re
import shutil
import subprocess

import pytest

from harness.daemon import Daemon

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHANGE = re.compile(r"<!-- (change|replace|new) (\S+)(?: before)?(?: `(.*?)`)? -->\n```\w*\n(.*?)```\n", re.DOTALL)
CHANGES = CHANGE.findall((ROOT / "CONTRIBUTING.md").read_text())


def make_changes(tree):
    """Follows CONTRIBUTING.md in TREE."""
    for kind, name, place, text in CHANGES:
        path = tree / name
        if kind == "new":
            path.write_text(text)
            continue
        before = path.read_text()
        assert before.count(place) == 1, f"{name} has not one place {place!r}"
        path.write_text(before.replace(place, text + place if kind == "change" else text.rstrip("\n")))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    tree = tmp_path_factory.mktemp("tree")
    for name in ("src", "bench/src", "tests/model", "tests/unit", "man", "packaging"):
        shutil.copytree(ROOT / name, tree / name)
    for name in ("Makefile", "ARCHITECTURE.md", "NEWS.md"):
        shutil.copy(ROOT / name, tree / name)
    assert len(CHANGES) == 6
    make_changes(tree)
    make(tree, "epoll-echo")
    return tree


def make(tree, *words):
    return subprocess.run(["make", "-s", "WERROR=1", *words], cwd=tree, capture_output=True, text=True, check=True)


@pytest.fixture
def server(tree):
    with Daemon("--listen=upper:0/tcp", binary=tree / "epoll-echo", listening=3) as server:
        yield server


def ask(server, question, **fields):
    (record,) = server.find(msg="listening", **fields)
    port = record["addr"].rpartition(":")[2]
    return subprocess.run(["nc", "-N", "::1", port], input=question, capture_output=True, timeout=30, check=True).stdout


def test_the_command_answers(server):
    assert ask(server, b"/ping\n", role="echo", proto="tcp") == b"pong\n"
    assert b" /ping " in ask(server, b"/help\n", role="echo", proto="tcp")


def test_the_role_answers(server):
    assert ask(server, b"hello\n/ping", role="upper") == b"HELLO\n/PING"


def test_only_what_the_page_says_needs_another_change(tree):
    """The unit tests fail where /help is told, in two of them, and nowhere else."""
    done = subprocess.run(["make", "-s", "-k", "unit"], cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert set(re.findall(r"FAILED  \] (\w+)\n", done.stdout + done.stderr)) == {
        "each_command_has_its_answer", "a_text_is_made_once_a_turn"}


def test_the_man_page_is_still_one(tree):
    subprocess.run(["mandoc", "-T", "lint", "-W", "warning", tree / "man/epoll-echo.8"], check=True)


@pytest.mark.parametrize("name", sorted({name for _, name, _, _ in CHANGES if name.endswith((".c", ".h"))}))
def test_what_is_changed_is_formatted(tree, name):
    subprocess.run(["clang-format-14", f"--style=file:{ROOT}/.clang-format", "--dry-run", "-Werror", tree / name],
                   check=True)
