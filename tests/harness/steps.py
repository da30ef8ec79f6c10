"""The lines that README.md has people type, to be run as they stand."""

import re

from harness.tree import ROOT

STEPS = re.compile(r"<!-- steps: (\S+) -->\n+```\n(.*?)```\n", re.DOTALL)


def steps(name, root=False):
    """Those that are called NAME, as a script; without sudo if they are run by ROOT."""
    (text,) = [lines for kind, lines in STEPS.findall((ROOT / "README.md").read_text()) if kind == name]
    assert 1 <= len(text.splitlines()) <= 3
    return text.replace("sudo ", "") if root else text
