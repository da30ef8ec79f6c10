# SPDX-License-Identifier: MIT
"""Each mistake is seen to happen, and its cure is seen to end it, in the words that the guide quotes."""
import re

import pytest

import programs
import record

# What each program said when it was recorded: {(name, "broken" or "cured"): text}.
SAID = {(name, mode): text for name, mode, text in re.findall(
    r"\$ mistakes/(\S+) (broken|cured)\n(.*?\n)(?=\$|\Z)", (record.SESSIONS / "mistakes.txt").read_text(), re.S)}
NAMES = sorted({name for name, _ in SAID})
# Counters, of which no two runs have the same: at least a thousand, or at most 20, which is two orders of
# magnitude less. (A cured herd is mostly one, and the exit status says fewer than 4.)
COUNTER = re.compile(r"(?<=wakeups in 200 ms: )\d+|(?<=one client woke )\d+(?= of 4 workers)")


def test_every_mistake_is_recorded_broken_and_cured():
    names = {path.stem for path in programs.sources() if path.parent.name == "mistakes"}
    assert set(SAID) == {(name, mode) for name in names for mode in ("broken", "cured")}


@pytest.mark.parametrize("mode", ["broken", "cured"])
@pytest.mark.parametrize("name", NAMES)
def test_a_mistake_does_what_is_recorded(name, mode):
    result = programs.run_mistake(name, mode)
    assert COUNTER.sub("N", result.stdout) == COUNTER.sub("N", SAID[name, mode])
    for text in (result.stdout, SAID[name, mode]):
        for count in map(int, COUNTER.findall(text)):
            assert (count >= 1000 or name == "herd" and count == 4) if mode == "broken" else count <= 20
    assert result.returncode == (mode == "broken")


def test_wrong_usage_is_refused():
    assert programs.run_mistake("leak", "mended").returncode == 2
