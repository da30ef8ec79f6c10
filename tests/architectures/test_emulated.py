"""What is compiled for other architectures works there: the unit tests pass, and static programs are
position-independent, if libc has the start file for it. The long form.
"""

import pathlib
import re
import subprocess

from conftest import BUILD, elf, need
from others import ARCHITECTURES, build, for_each, under


def static_library(name, source):
    """cmocka as a library, and the directory that it is in."""
    compiler = f"{ARCHITECTURES[name].triple}-gcc"
    directory = BUILD / name / "cmocka"
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run([compiler, "-O1", "-DHAVE_SIGNAL_H", "-DHAVE_STRUCT_TIMESPEC", f"-I{source / 'include'}", "-c",
                    "-o", directory / "cmocka.o", source / "src/cmocka.c"], timeout=60, check=True)
    subprocess.run(["ar", "rcs", directory / "libcmocka.a", directory / "cmocka.o"], timeout=60, check=True)
    return directory


@for_each
def test_the_unit_tests_pass(name, cmocka):
    need(f"{ARCHITECTURES[name].triple}-gcc")
    words = under(name)
    done = build(name, f"LDFLAGS=-L{static_library(name, cmocka)}", f"UNIT_UNDER={' '.join(words)}", "unit")
    print(done.stdout)
    assert done.returncode == 0
    passed, failed = map(int, re.search(r"^unit: (\d+) passed, (\d+) failed", done.stdout, re.M).groups())
    assert passed > 100
    assert failed == 0


@for_each
def test_a_static_program_is_position_independent_where_it_can_be_and_runs(name):
    words = under(name)
    directory = BUILD / f"{name}-static"
    program = directory / "epoll-echo"
    done = build(name, "LDFLAGS=-static", str(program), directory=directory)
    assert (done.returncode, done.stdout) == (0, "")
    header = elf(program)
    assert ("DYN" in header) == pathlib.Path(f"/usr/{ARCHITECTURES[name].triple}/lib/rcrt1.o").exists()
    assert "INTERP" not in header
    # Which needs no loader: only the emulator, if any.
    emulator = words[:1] if words[0].startswith("qemu") else []
    version = subprocess.run([*emulator, program, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert version.stdout.startswith("epoll-echo ")
