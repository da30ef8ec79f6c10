"""How run.py has servers take turns, and what is told of system calls."""

import os
import socket
import subprocess
import sys

import pytest

from harness.daemon import BINARY, ROOT
from harness.wait import PATIENCE

sys.path.insert(0, str(ROOT / "bench"))
import matrix  # noqa: E402
import run as bench_run  # noqa: E402

MODELS = ROOT / os.environ.get("MODELS", "build/models")


@pytest.fixture(scope="module")
def built():
    subprocess.run(["make", "-s", "models"], cwd=ROOT, timeout=4 * PATIENCE, check=True, stdout=subprocess.DEVNULL)


def load_named(name):
    return next(load for load in matrix.LOADS if load.name == name)


@pytest.fixture
def cores():
    found = sorted(os.sched_getaffinity(0))
    return found[0], found[-1]


@pytest.mark.parametrize("name, others", [("tcp-50", ["epoll", "poll"]), ("udp-4x32-gso", ["udp-pair"])])
def test_servers_take_turns(built, cores, name, others):
    load = load_named(name)
    plan = bench_run.Plan(True, builds=matrix.builds({"same": BINARY}))
    names = [*others, "same" if load.protocol == "tcp" else "same-udp"]
    servers = [server for server in plan.servers if server.name in names]
    results, noise = bench_run.one_run(servers, load, plan, MODELS, cores)
    assert {server.name for server in results} == set(names)
    for server, values in results.items():
        assert not isinstance(values, bench_run.Trouble), f"{server.name}: {values}"
        assert values["cpu_us"] > 0 and values["rate"] > 0 and values["p99_us"] > 0
    assert set(noise) == {"probe_ms", "foreign_percent", "steal_percent"}


def test_one_that_fails_does_not_end_the_others(built, cores, tmp_path):
    """It says that it listens, and does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    mute = tmp_path / "mute"
    mute.write_text(f"#!/bin/sh\necho listening {port}\nexec sleep 600\n")
    mute.chmod(0o755)
    plan = bench_run.Plan(True, builds=matrix.builds({"mute": str(mute), "same": BINARY}))
    servers = [server for server in plan.servers if server.name in ("mute", "same")]
    results, _ = bench_run.one_run(servers, load_named("tcp-50"), plan, MODELS, cores)
    found = {server.name: result for server, result in results.items()}
    assert isinstance(found["mute"], bench_run.Trouble)
    assert "Connection refused" in str(found["mute"])
    assert found["same"]["cpu_us"] > 0


def calls(*words, **more):
    return subprocess.run([MODELS.parent / "calls", *words], capture_output=True, text=True, timeout=PATIENCE, check=False,
                          **more)


def test_what_a_call_costs(built, cores):
    assert float(calls("cost").stdout) > 1
    assert bench_run.call_cost(MODELS, cores[0]) > 1


@pytest.mark.parametrize("words", [[], ["cost", "1"], ["count"], ["x"]])
def test_calls_has_two_uses(built, words):
    done = calls(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: ")


def may_count():
    """A reason why calls cannot be counted here, if there is one."""
    return calls("count", str(os.getpid()), input="\n").stderr.strip()


# The one for datagrams has three for each, if there is but one at a time; a thread waits for its client:
# a recv and a send.
@pytest.mark.parametrize("name, load, wanted, within", [("udp-pair", "udp-1", 3, 0.02), ("thread", "tcp-50", 2, 0.05)])
def test_calls_are_counted(built, cores, name, load, wanted, within):
    if reason := may_count():
        pytest.skip(reason)
    server = next(server for server in matrix.SERVERS if server.name == name)
    count = bench_run.count_calls(server, load_named(load), bench_run.Plan(True), MODELS, cores)
    assert count == pytest.approx(wanted, rel=within)


def test_calls_that_cannot_be_counted_are_trouble(built, cores, tmp_path):
    (tmp_path / "calls").write_text("#!/bin/sh\necho 'calls: no permission' >&2\nexit 1\n")
    (tmp_path / "calls").chmod(0o755)
    (tmp_path / "models").symlink_to(MODELS)
    server = next(server for server in matrix.SERVERS if server.name == "udp-pair")
    with pytest.raises(bench_run.Trouble, match="calls are not counted: calls: no permission"):
        bench_run.count_calls(server, load_named("udp-1"), bench_run.Plan(True), tmp_path / "models", cores)
