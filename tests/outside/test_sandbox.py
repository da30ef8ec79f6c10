"""Less to take over: what the process is once it serves, and what somebody could do with it."""

import errno
import os
import platform
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from harness.clients import Client, serves
from harness.daemon import ROOT
from harness.fixtures import need
from harness.lines import GOODBYE, TOKEN_INVALID
from harness.wait import wait_until
from test_startup import AS_NOBODY, NOBODY, needs_nobody, refuses, write

pytestmark = pytest.mark.plain
TOKEN = b"a token that is found nowhere else"
BREAKOUT = ROOT / "build/outside/breakout.so"
REFUSED = {errno.EPERM, errno.EACCES}
# Without the sandbox, these do no harm to whoever runs the tests.
HARMLESS = ["read-other-file", "list-directory", "write-token-file", "make-file", "remove-file", "openat2", "socket",
            "bind", "mmap-exec", "mprotect-exec", "clone", "dumpable", "kill"]


def status(server, key):
    text = Path(f"/proc/{server.pid}/status").read_text()
    return re.search(rf"^{key}:[ \t]*(.*)$", text, re.MULTILINE)[1].split()


def capabilities(server):
    return {int(*status(server, f"Cap{kind}"), 16) for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")}


@pytest.fixture
def public():
    """A directory that everybody can enter."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


# The sandbox


@pytest.fixture
def confined(start):
    """For tests of what a build has that does not count coverage."""
    server = start("-vv")
    if server.find(msg="no sandbox in this build"):
        pytest.skip("this build has no sandbox")


def test_nothing_that_only_opening_needed_is_left(confined, start):
    server = start("-vv")
    assert status(server, "NoNewPrivs") == ["1"]
    assert status(server, "Seccomp") == ["2"]
    assert capabilities(server) == {0}
    assert os.stat(f"/proc/{server.pid}/fd").st_uid == 0  # it is not dumpable
    (record,) = server.find(msg="sandbox")
    assert record["privileges"] == "dropped" and record["calls"] == "filtered"


def test_without_the_sandbox_all_is_as_it_was(confined, start):
    server = start("-vv", "--no-sandbox")
    assert status(server, "NoNewPrivs") == status(server, "Seccomp") == ["0"]
    assert not server.find(msg="sandbox")


@pytest.fixture
def break_out(start, token_file):
    """A function: tries one way out of the daemon, or all; the error of each."""
    need("outside-programs", BREAKOUT)

    def break_out(attempt="", *options, binary=ROOT / "epoll-echo", **details):
        environment = {"LD_PRELOAD": str(BREAKOUT), "BREAKOUT": attempt, "BREAKOUT_TOKEN": str(token_file)}
        server = start(f"--shutdown-token-file={token_file}", *options, binary=binary, environment=environment,
                       **details)
        if details:
            return server
        assert serves(server.tcp_port, server.udp_port)  # whatever was tried
        server.await_record(msg="tried")
        return {record["attempt"]: int(record["error"]) for record in server.find(msg="breakout")}

    return break_out


@pytest.mark.parametrize("options", [[], [f"--user={NOBODY}"]], ids=["root", "nobody"])
def test_there_is_no_way_out(break_out, token_file, options):
    if options:
        os.chown(token_file, NOBODY, NOBODY)
        os.chmod(token_file.parent, 0o755)
    errors = break_out("", *options)
    errors.pop("read-token-file")
    if errors["clone"] == 0:  # a successor is tried by a child, which is confined as its parent is
        errors.pop("clone")
    assert len(errors) >= 27
    if errors.get("int80") == errno.ENOSYS:  # this kernel has no calls of i386
        errors.pop("int80")
    assert {attempt for attempt, error in errors.items() if error not in REFUSED} == set()
    assert token_file.read_bytes() == b"open sesame\n"


def test_the_token_file_can_still_be_read(break_out):
    assert break_out("read-token-file") == {"read-token-file": 0}


@pytest.mark.parametrize("attempt", HARMLESS)
def test_without_the_sandbox_there_is_a_way(break_out, attempt):
    """Else the others would prove nothing."""
    assert break_out(attempt, "--no-sandbox")[attempt] not in REFUSED


def test_in_a_build_for_tests_an_attempt_ends_it(break_out):
    need("outside-programs", ROOT / "build/kill/epoll-echo")
    server = break_out("socket", binary=ROOT / "build/kill/epoll-echo", listening=0)
    assert server.wait() == -signal.SIGSYS


def test_landlock_alone_closes_files(break_out):
    """It does so for open(2), which the filter lets pass."""
    errors = break_out()
    if break_out("list-directory")["list-directory"] != errno.EACCES:
        pytest.skip("the kernel has no Landlock")
    assert errors["read-other-file"] == errors["read-own-memory"] == errno.EACCES


def serve_all_kinds(server, dial, peer, strace):
    """What a daemon does from when it serves on."""
    with dial(server) as client:
        assert client.ask(b"/whoami\n").startswith(b"proto=tcp")
        assert peer(server).ask(b"question") == b"question"
    later = []

    def given_back():
        """After a wave, unless the machine was too slow for all of it to be owed at once."""
        slow = [dial(server, receive_buffer=4096) for _ in range(5)]
        for client in slow:
            client.send_in_background(b"owed to who reads late\n" * 50_000)
        server.settle()
        later.extend(dial(server) for _ in range(20))  # whose memory lies behind what is owed
        assert later[-1].ask(b"here\n") == b"here\n"
        assert all(client.rest().endswith(b"late\n") for client in slow)
        until, calls = time.monotonic() + 3, 0  # a second after the wave
        while calls < 2 and time.monotonic() < until:
            time.sleep(0.1)
            calls = sum("madvise(" in line for line in strace.trace())
        return calls > 1

    wait_until(given_back, "memory to be given back")
    with Client("127.0.0.1", server.port_of("tcp", role="http")) as client:
        page = client.ask_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").decode()
    assert float(re.search(r"^process_resident_memory_bytes (\S+)", page, re.MULTILINE)[1]) > 100_000
    server.signal(signal.SIGHUP)
    server.await_record(msg="token read again")


def tables():
    """The calls that ARCHITECTURE.md has for serving, and for the start of a successor."""
    text = (ROOT / "ARCHITECTURE.md").read_text().partition("## The sandbox")[2].partition("\n## ")[0]
    serving, starting = text.split("\n| call |")[1:]
    rows = [row.split("|")[1] for row in starting.splitlines() if row.startswith("| `")]
    return (set(re.findall(r"^\| `(\w+)`", serving, re.MULTILINE)),
            {name for row in rows for name in re.findall(r"`(\w+)`", row)})


def calls_within(trace):
    """Those that are made once the filter stands."""
    calls = [match[1] for line in trace if (match := re.match(r"(\w+)\(", line))]
    return set(calls[calls.index("seccomp") + 1:])


def close_who_is_idle(server, dial, *_):
    assert dial(server).rest() == b""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the table is x86-64's")
def test_the_calls_of_the_table_are_those_that_are_made(confined, start, dial, peer, strace, token_file):
    """None that is missing, which the build for tests would be killed for, and none that is not needed."""
    table, _ = tables()
    table.remove("fcntl")  # to seal what goes into the service manager's store
    made = set()
    for serve, timeout in ((serve_all_kinds, 0), (close_who_is_idle, 1)):
        server = start("-v", "--listen=http:127.0.0.1:0", f"--idle-timeout={timeout}", "--socket-buffer=16384",
                       f"--shutdown-token-file={token_file}", wrapper=strace())
        serve(server, dial, peer, strace)
        server.stop()
        made |= calls_within(strace.trace())
    assert sorted(table - made) == []
    assert sorted(made - table) == []


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the table is x86-64's")
def test_the_calls_of_a_start_are_those_that_are_made(confined, start, strace):
    """And what else it tries is refused, and not needed."""
    serving, starting = tables()
    server = start("--user=nobody", wrapper=strace(), binary=ROOT / "epoll-echo")  # refused, not killed
    server.signal(signal.SIGUSR2)
    wait_until(lambda: len(server.find(msg="started")) == 2, "the successor")
    assert serves(server.tcp_port, server.udp_port)
    server.stop()
    made = calls_within(line for line in strace.trace() if " EPERM " not in line)
    # By the child alone, by other C libraries, or for pages of another size.
    assert sorted(starting - made - {"alarm", "setitimer", "fork", "getresuid", "munmap"}) == []
    assert sorted(made - starting - serving) == []


# The user


@needs_nobody
@pytest.mark.parametrize("user, gid", [("nobody", None), (f"{NOBODY}", NOBODY), (f"{NOBODY}:7", 7)])
@pytest.mark.parametrize("options", [[], ["--no-sandbox"]], ids=["sandbox", "no sandbox"])
def test_root_becomes_a_user_for_good(start, namespace, user, gid, options):
    server = start(f"--user={user}", "--port=7", *options, port=None)
    assert status(server, "Uid") == [str(NOBODY)] * 4
    assert len(set(status(server, "Gid"))) == 1 and gid in (None, int(status(server, "Gid")[0]))
    assert status(server, "Groups") == []
    assert capabilities(server) == {0}
    assert not server.of_root
    assert serves(7)


@needs_nobody
def test_root_without_a_user_is_warned_once(start):
    server = start()
    server.stop()
    (record,) = server.of_root
    assert record["level"] == "warning" and "--user" in record["remedy"]


@pytest.mark.parametrize("user", ["no-such-user", "root", "0", "-1", "4294967295"])
def test_who_cannot_be_become_is_named(user):
    message = refuses("--port=0", f"--user={user}")
    assert f"user={user} " in message and "remedy" in message


@needs_nobody
def test_only_root_becomes_another(start, namespace):
    message = refuses("--port=0", "--user=7", **AS_NOBODY)
    assert "user=7 " in message and "call=setgroups" in message and "start it as root" in message
    server = start(f"--user={NOBODY}", **AS_NOBODY)  # it is that one
    assert status(server, "Uid") == [str(NOBODY)] * 4


@needs_nobody
def test_a_number_needs_no_etc_passwd(start, namespace):
    hidden = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /etc && exec "$0" "$@"']
    server = start("--user=4242", wrapper=hidden)
    assert status(server, "Uid") == ["4242"] * 4


@needs_nobody
def test_a_token_that_root_alone_can_read_is_kept(start, dial, public):
    path = public / "token"
    write(path, b"first\n", 0o400)
    server = start(f"--shutdown-token-file={path}", f"--user={NOBODY}")
    write(path, b"second\n", 0o400)
    server.deliver(signal.SIGHUP)
    assert "Permission denied" in server.await_record(level="warning")["error"]
    client = dial(server)
    assert client.ask(b"/shutdown second\n") == TOKEN_INVALID
    assert client.ask(b"/shutdown first\n") == GOODBYE
    server.ended()


@needs_nobody
@pytest.mark.parametrize("owner, mode", [(0, 0o440), (0, 0o640), (NOBODY, 0o400)])
def test_a_token_that_the_user_can_read_is_read_again(start, dial, public, owner, mode):
    path = public / "token"
    write(path, b"first\n", mode)
    os.chown(path, owner, NOBODY)
    server = start(f"--shutdown-token-file={path}", f"--user={NOBODY}")
    path.write_bytes(b"second\n")
    server.signal(signal.SIGHUP)
    server.await_record(msg="token read again")
    assert dial(server).ask(b"/shutdown second\n") == GOODBYE
    server.ended()


@needs_nobody
def test_a_token_of_the_user_that_its_group_can_read_is_no_secret(public):
    path = public / "token"
    write(path, mode=0o440)
    os.chown(path, NOBODY, NOBODY)
    assert "can be read by a group" in refuses("--port=0", f"--shutdown-token-file={path}", f"--user={NOBODY}")


def test_a_token_behind_a_link_is_read_again(start, dial, public):
    """As Kubernetes renews secrets, and as others link to them."""
    for name in ("one", "other"):
        (public / name).mkdir()
        write(public / name / "token", name.encode())
    (public / "data").symlink_to("one")
    (public / "token").symlink_to("data/token")
    server = start(f"--shutdown-token-file={public / 'token'}")
    (public / "new").symlink_to("other")
    (public / "new").rename(public / "data")
    server.signal(signal.SIGHUP)
    server.await_record(msg="token read again")
    assert dial(server).ask(b"/shutdown other\n") == GOODBYE
    server.ended()


# The token in memory


def memory(server):
    """All that it can write."""
    with open(f"/proc/{server.pid}/maps") as maps, open(f"/proc/{server.pid}/mem", "rb") as content:
        for begin, end in re.findall(r"^(\w+)-(\w+) rw", maps.read(), re.MULTILINE):
            content.seek(int(begin, 16))
            yield content.read(int(end, 16) - int(begin, 16))


def copies(server, text):
    return sum(part.count(text) for part in memory(server))


def test_there_is_one_copy_of_the_token(start, tmp_path):
    path = tmp_path / "token"
    write(path, TOKEN)
    server = start(f"--shutdown-token-file={path}", f"--name={'x' * 40}")
    assert copies(server, b"x" * 40) > 0  # memory is looked at
    assert copies(server, TOKEN) == 1
    write(path, TOKEN[::-1])
    server.signal(signal.SIGHUP)
    server.await_record(msg="token read again")
    assert (copies(server, TOKEN), copies(server, TOKEN[::-1])) == (0, 1)


@pytest.mark.skipif(not shutil.which("gcore"), reason="gdb is not installed")
def test_no_core_dump_has_the_token(start, tmp_path):
    path = tmp_path / "token"
    write(path, TOKEN)
    server = start(f"--shutdown-token-file={path}", f"--name={'x' * 40}")
    subprocess.run(["gcore", "-o", tmp_path / "core", str(server.pid)], check=True, capture_output=True, timeout=60)
    core = (tmp_path / f"core.{server.pid}").read_bytes()
    assert b"x" * 40 in core and TOKEN not in core
    assert serves(server.tcp_port, server.udp_port)
