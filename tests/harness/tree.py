"""Copies of the project's tree, to build in without touching this one."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What the make that runs these tests was told is not for those that they run.
TOLD = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "CC", "CPPFLAGS", "CFLAGS", "LDFLAGS", "WERROR", "B")


def copy_tree(target):
    """Copies what git has or would take to TARGET, which must not exist."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    return target


def make(*words, tree=ROOT, patience=600, prefix=(), **environment):
    """Runs make with WORDS in TREE; what it printed."""
    ours = {name: value for name, value in os.environ.items() if name not in TOLD}
    done = subprocess.run([*prefix, "make", "-s", *words], cwd=tree, env=ours | environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=patience, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout
