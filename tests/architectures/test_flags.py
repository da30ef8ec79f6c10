"""The compiler is asked for its flags, once for the flags that are given."""

import platform
import shutil
import subprocess

import pytest

from conftest import elf, make

X86 = platform.machine() == "x86_64"


def taken(directory, *words):
    """The flags for the compiler, and those for the linker."""
    done = make(*words, f"{directory}/flags", directory=directory)
    assert (done.returncode, done.stdout) == (0, "")
    return [(directory / f"flags.{of}").read_text().split() for of in ("compile", "link")]


@pytest.mark.parametrize("compiler", ["gcc", "clang-14"])
def test_what_hardens_is_taken(tmp_path, compiler):
    compiling, linking = taken(tmp_path, f"CC={compiler}")
    assert {"-fPIE", "-fstack-protector-strong", "-fstack-clash-protection", "-D_FORTIFY_SOURCE=3"} <= set(compiling)
    assert ("-fcf-protection" in compiling) == X86
    assert linking == ["-pie"]


def test_what_the_compiler_refuses_or_warns_of_is_left_out(tmp_path):
    compiler = tmp_path / "compiler"
    compiler.write_text("""#!/bin/sh
case " $* " in
*' -fcf-protection '*) echo 'unknown option' >&2; exit 1 ;;
*' -D_FORTIFY_SOURCE=3 '*) set -- -include FORTIFY.h "$@" ;;
esac
exec gcc "-I${0%/*}" "$@"
""")
    compiler.chmod(0o755)
    (tmp_path / "FORTIFY.h").write_text("#warning 3 is treated like 2\n")
    compiling, _ = taken(tmp_path / "build", f"CC={compiler}")
    assert "-fcf-protection" not in compiling
    assert "-D_FORTIFY_SOURCE=3" not in compiling
    assert "-D_FORTIFY_SOURCE=2" in compiling
    assert "-fstack-protector-strong" in compiling


def test_what_is_given_wins(tmp_path):
    compiling, _ = taken(tmp_path, "CFLAGS=-O2 -D_FORTIFY_SOURCE=1")
    assert not [flag for flag in compiling if flag.startswith("-D_FORTIFY_SOURCE")]


def test_a_sanitizer_does_without_hardening(tmp_path):
    assert taken(tmp_path, "CFLAGS=-O1 -fsanitize=address,undefined") == [["-fPIE"], ["-pie"]]


def test_everything_is_built_anew_when_the_flags_change_and_only_then(tmp_path):
    name = tmp_path / "src/ground/text.o"

    def built(*words):
        assert make(*words, str(name), directory=tmp_path).returncode == 0
        return name.stat().st_mtime_ns

    first = built("CC=gcc")
    asked = (tmp_path / "flags.compile").stat().st_mtime_ns
    assert built("CC=gcc") == first
    assert (tmp_path / "flags.compile").stat().st_mtime_ns == asked
    second = built("CC=clang-14")
    assert second > first
    assert built("CC=clang-14", "CFLAGS=-O0") > second


def test_without_a_compiler_nothing_is_taken_for_good(tmp_path):
    done = make("CC=no-such-compiler", f"{tmp_path}/flags", directory=tmp_path)
    assert done.returncode != 0
    assert "no-such-compiler" in done.stdout
    assert not (tmp_path / "flags").exists()


@pytest.mark.parametrize("compiler", ["gcc", "clang-14", "musl-gcc"])
def test_a_static_program_is_position_independent_and_runs(tmp_path, compiler):
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    program = tmp_path / "epoll-echo"
    done = make(f"CC={compiler}", "LDFLAGS=-static", "WERROR=1", str(program), directory=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    header = elf(program)
    assert "DYN" in header
    assert "INTERP" not in header
    version = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=True)
    assert version.stdout.startswith("epoll-echo ")
    # Where it lies is chance.
    assert len({where(program) for _ in range(4)}) > 1


def where(program):
    """The address of PROGRAM's first page, while it runs."""
    with subprocess.Popen([program, "--port=0", "-q"]) as daemon:
        maps = open(f"/proc/{daemon.pid}/maps", encoding="ascii").read()
        daemon.kill()
    return maps.split("-")[0]


def test_a_toolchain_that_has_no_static_pie_links_static(tmp_path):
    compiler = tmp_path / "compiler"
    compiler.write_text("""#!/bin/sh
case " $* " in *' -Wl,--trace '*) exit 0 ;; esac
for word; do case $word in @*.link) grep -q -e -static-pie "${word#@}" && exit 1 ;; esac; done
exec gcc "$@"
""")
    compiler.chmod(0o755)
    assert taken(tmp_path, f"CC={compiler}", "LDFLAGS=-static")[1] == ["-static"]
