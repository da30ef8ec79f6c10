"""What is compiled for other architectures works there: the unit tests pass, and static programs are
position-independent, if libc has the start file for it. The long form.
"""

import pathlib
import re
import signal
import subprocess

from conftest import BUILD, ROOT, elf, need
from harness.clients import Client, Peer
from harness.daemon import Daemon
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


CALLED = re.compile(r"^\d+ (\w+)\(", re.MULTILINE)


@for_each
def test_the_sandbox_has_a_row_for_each_call_that_a_daemon_makes(name, tmp_path):
    """By the emulator's trace, for no emulator has a filter."""
    log = tmp_path / "trace"
    emulator = under(name)[0]
    tracer = [emulator, "-strace", "-D"] if emulator.startswith("qemu") else ["strace", "--daemonize", "-f", "-o"]
    token = tmp_path / "token"
    token.write_text("token\n")
    token.chmod(0o600)
    program = BUILD / f"{name}-static/epoll-echo"
    build(name, "LDFLAGS=-static", str(program), directory=program.parent)
    with Daemon(f"--shutdown-token-file={token}", "--listen=http:127.0.0.1:0", binary=program,
                wrapper=[*tracer, log]) as server:
        with Client("127.0.0.1", server.tcp_port) as client, Peer("127.0.0.1", server.udp_port) as peer:
            peer.send(b"question")  # not every emulator has its control messages
            assert client.ask(b"/whoami\n").startswith(b"proto=tcp")
        with Client("127.0.0.1", server.port_of("tcp", role="http")) as client:
            assert b"process_cpu_seconds_total" in client.ask_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        server.signal(signal.SIGHUP)
        server.await_record(msg="token read again")
    calls = CALLED.findall(log.read_text(errors="replace").lower())
    last = max(place for place, call in enumerate(calls) if call == "seccomp")
    table = (ROOT / "ARCHITECTURE.md").read_text().partition("## The sandbox")[2].partition("\n## ")[0]
    allowed = {call for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for call in re.findall(r"\w+", row)}
    assert sorted(set(calls[last + 1:]) - allowed - {"socketcall"}) == []
