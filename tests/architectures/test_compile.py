"""Everything compiles for other architectures without a warning."""

import re

import pytest

from conftest import BUILD, elf
from others import ARCHITECTURES, build, for_each


@for_each
@pytest.mark.parametrize("program", ["epoll-echo", "echo-bench"])
def test_a_program_compiles_without_a_warning(name, program):
    done = build(name, str(BUILD / name / program))
    assert (done.returncode, done.stdout) == (0, "")
    header = elf(BUILD / name / program)
    assert f"ELF{ARCHITECTURES[name].bits}" in header
    assert "DYN" in header


@for_each
def test_the_models_compile_without_a_warning(name):
    done = build(name, "models")
    assert done.returncode == 0
    left_out = set(re.findall(r"left out: ([\w-]+)", done.stdout))
    for log in (BUILD / name / "models").glob("*.log"):
        text = log.read_text()
        assert "warning:" not in text
        # Libraries that are not installed for this architecture, and nothing else.
        assert not text or log.stem in left_out and re.search(r"cannot find -l|\.h: No such file", text)
