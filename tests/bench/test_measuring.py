"""What echo-bench counts against a server that does everything right."""

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

import faulty
from harness.daemon import Daemon
from harness.wait import PATIENCE, wait_until
from program import BENCH, bench

WAIT = "--timeout=30"
KINDS = [
    pytest.param(["--tcp"], id="tcp"),
    pytest.param(["--tcp", "--verify"], id="tcp-verify"),
    pytest.param(["--udp"], id="udp"),
    pytest.param(["--udp", "--verify"], id="udp-verify"),
    pytest.param(["--churn"], id="churn"),
    pytest.param(["--churn", "--verify"], id="churn-verify"),
]


def total_errors(result):
    return result["errors"], result["first_error"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 2, 11, 64, 4000])
def test_every_message_is_answered(measure, kind, size):
    result = measure(*kind, "--timeout=30", "-c", 7, "-n", 300, "-s", size)
    assert total_errors(result) == (0, "")
    assert result["messages"] == 300
    assert result["seconds"] > 0
    assert result["messages_per_second"] == pytest.approx(300 / result["seconds"], rel=0.01)


@pytest.mark.parametrize("kind", KINDS[:4])
def test_many_in_flight(measure, kind):
    # No more than a UDP socket's receive buffer holds: beyond, the kernel would drop some.
    result = measure(*kind, "--timeout=30", "-c", 2, "-d", 70, "-n", 3000)
    assert total_errors(result) == (0, "")
    assert result["messages"] == 3000


def test_more_in_flight_than_the_sockets_hold(measure):
    result = measure("--verify", "--timeout=30", "-c", 2, "-d", 5000, "-s", 4000, "-n", 20000)
    assert total_errors(result) == (0, "")
    assert result["messages"] == 20000


def test_a_message_longer_than_all_buffers(serve):
    address = serve(faulty.answering(lambda number, line: line))
    result = bench("--verify", "--timeout=30", "-c", 1, "-s", 1 << 20, "-n", 20, address).json()
    assert (result["messages"], result["errors"]) == (20, 0)


def test_the_largest_datagram(measure):
    result = measure("--udp", "--verify", "--timeout=30", "-c", 2, "-s", 65507, "-n", 50)
    assert (result["messages"], result["errors"]) == (50, 0)


def test_ipv6_and_names(daemon):
    for host in ("[::1]", "localhost"):
        assert bench("-n", 10, f"{host}:{daemon.tcp_port}").json()["messages"] == 10


def test_duration(serve):
    server = faulty.Udp(lambda number, datagram: [datagram])
    address = serve(server)
    result = bench("--udp", "-t", 1, "-w", 0, "-c", 2, "--timeout=30", address).json()
    assert total_errors(result) == (0, "")
    assert result["messages"] == len(server.times)
    assert result["seconds"] == pytest.approx(1, abs=1e-6)
    assert result["loop"] == "closed"
    # The server has seen the same: no shorter, and by far not twice as long.
    assert 0.9 < server.times[-1] - server.times[0] < 1.9


# One that is lost is not answered for the whole of --timeout; that time is no part of the rate.
@pytest.mark.parametrize("options", [["-t", 0.5], ["-n", 400], ["-t", 0.5, "-r", 1000], ["-n", 400, "-r", 1000]],
                         ids=["time", "count", "open-time", "open-count"])
def test_the_wait_for_what_is_lost_does_not_count(serve, options):
    address = serve(faulty.Udp(lambda number, datagram: [] if number == 30 else [datagram]))
    result = bench("--udp", "-c", 8, *options, "-w", 0, "--timeout=3", address).json(status=1)
    assert result["error_kinds"]["lost"] == 1
    assert result["seconds"] < 3
    assert result["messages_per_second"] == pytest.approx(result["messages"] / result["seconds"], rel=0.01)
    if "-r" in options:
        assert result["messages"] + result["unsent"] == 499 if "-t" in options else 399


def test_open_loop_sends_what_was_planned(measure):
    result = measure("-r", 1000, "-t", 0.5, "-w", 0, "-c", 3, "-d", 10000, "--timeout=30")
    assert result["loop"] == "open"
    assert (result["messages"], result["errors"], result["unsent"]) == (500, 0, 0)


def test_open_loop_counts_messages(measure):
    result = measure("-r", 2000, "-n", 300, "-c", 3, "--timeout=30")
    assert (result["messages"], result["errors"]) == (300, 0)
    assert result["seconds"] >= 299 / 2000


@pytest.mark.parametrize("kind", KINDS[2:4])
def test_open_loop_over_udp(serve, kind):
    server = faulty.Udp(lambda number, datagram: [datagram])
    address = serve(server)
    result = bench(*kind, "-r", 1000, "-n", 1000, "-c", 3, "-d", 50, "--timeout=30", address).json()
    assert (result["messages"], result["errors"], result["unsent"]) == (1000, 0, 0)
    assert result["seconds"] >= 0.999
    # As the server saw it: the planned speed, and at no time another.
    passed = [time - server.times[0] for time in server.times]
    assert 0.9 < passed[-1] < 1.9
    assert 0.4 < passed[500] < 1.4


def test_an_open_loop_tells_how_late_it_was_itself(measure):
    result = measure("-r", 1000, "-n", 500, "-c", 3, "--timeout=30")
    late = [result["lateness_us"][key] for key in ("p50", "p99", "max")]
    assert 0 < late[0] <= late[1] <= late[2]
    assert late[2] <= result["latency_us"]["max"]
    assert "lateness_us" not in measure("-n", 10)


STALL = 1.0


def test_who_waits_for_a_slow_server_is_not_late(serve):
    """One in flight: what falls into the stall could not be sent, which is the server's doing."""
    result = bench("-r", 100, "-n", 300, "-c", 1, "-d", 1, "--timeout=30",
                   serve(faulty.stalling(at=100, seconds=STALL))).json()
    assert result["latency_us"]["p90"] >= STALL * 0.5e6
    assert result["lateness_us"]["p90"] < STALL * 0.25e6


def test_a_stall_is_not_hidden(serve):
    """Of 3 s at 100 a second, 100 messages fall into a stall of 1 s: half of them wait 0.5 s."""
    stall = serve(faulty.stalling(at=100, seconds=STALL))
    latency = bench("-r", 100, "-n", 300, "-c", 1, "-d", 1, "--timeout=30", stall).json()["latency_us"]
    assert latency["max"] >= STALL * 0.95e6
    assert latency["p90"] >= STALL * 0.5e6


def test_the_closed_loop_says_that_it_is_one(serve):
    """The same stall is one slow message there: the reason for the other loop."""
    stall = serve(faulty.stalling(at=100, seconds=STALL))
    result = bench("-n", 300, "-c", 1, "--timeout=30", stall).json()
    assert result["latency_us"]["max"] >= STALL * 0.95e6
    assert result["loop"] == "closed"


def test_a_server_that_does_not_echo(serve):
    address = serve(faulty.answering(lambda number, line: b"+PONG\r\n" if line == b"PING\r\n" else b"?"))
    result = bench("--request=PING\\r\\n", "--reply-bytes=7", "-c", 5, "-d", 4, "-n", 500, address).json()
    assert (result["messages"], result["errors"]) == (500, 0)
    assert (result["size"], result["reply_size"]) == (6, 7)


def test_idle_connections_stay_open_and_are_weighed():
    with Daemon("--max-tcp=3000") as daemon:
        result = bench("--idle=2000", "-n", 100, "--rest=0.2", f"--pid={daemon.pid}", "--timeout=30",
                       daemon.address).json()
    assert total_errors(result) == (0, "")
    server = result["server"]
    assert 0 < server["rss_bytes_per_idle_connection"] < 10000
    assert server["pss_bytes_per_idle_connection"] <= server["rss_bytes_per_idle_connection"] + 10


def test_more_idle_connections_than_one_address_is_given():
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 17000:
        pytest.skip("the hard limit for descriptors is below 17,000")
    with Daemon("--max-tcp=16500") as daemon:
        # They stay open while the server is watched at rest.
        with subprocess.Popen([BENCH, "--json", "--idle=16100", "-c", "1", "-n", "1", f"--pid={daemon.pid}",
                               "--timeout=30", daemon.address], stdout=subprocess.PIPE, text=True) as running:
            # 127.0.0.2, IPv4-mapped as the kernel writes it.
            while "0000000000000000FFFF00000200007F:" not in Path("/proc/net/tcp6").read_text():
                assert running.poll() is None
                time.sleep(0.05)
            out = running.communicate(timeout=PATIENCE)[0]
    assert '"errors": 0' in out


def schedstat(pid):
    """CPU nanoseconds as the kernel shows them for each thread."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir())


def test_cpu_is_what_schedstat_shows():
    with Daemon() as daemon:
        before = schedstat(daemon.pid)
        result = bench("-n", 20000, "-c", 10, "--rest=0", f"--pid={daemon.pid}", "--timeout=30", daemon.address).json()
        whole = schedstat(daemon.pid) - before
    measured = result["server"]["cpu_us_per_message"] * 1000 * result["messages"]
    # What connecting and closing take is not in it.
    assert 0.5 * whole <= measured <= 1.01 * whole
    assert result["client"]["cpu_us_per_message"] > 0
    assert result["server"]["context_switches_per_message"] >= 0
    assert result["server"]["wakeups_per_second_at_rest"] is None


def test_energy_is_measured_or_null(daemon):
    server = bench("-n", 10, f"--pid={daemon.pid}", "--rest=0", daemon.address).json()["server"]
    if not Path("/sys/class/powercap").is_dir():
        assert server["joules_per_million_messages"] is None
        text = bench("-n", 10, f"--pid={daemon.pid}", "--rest=0", daemon.address, plain=True).out
        assert "energy      not measured" in text


FORKING = """
import os, socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
if os.fork() == 0:
    if os.fork() == 0:
        while True:
            connection = listener.accept()[0]
            while data := connection.recv(65536):
                connection.sendall(data)
    os.wait()
os.wait()
"""


def test_who_takes_no_time_is_not_the_server():
    """It has children that answer; it has no figures of its own once it waits for them."""
    with subprocess.Popen(["/usr/bin/python3", "-c", FORKING], stdout=subprocess.PIPE, text=True,
                          start_new_session=True) as server:
        try:
            address = f"127.0.0.1:{int(server.stdout.readline())}"
            wait_until(lambda: ") S " in Path(f"/proc/{server.pid}/stat").read_text(), "a server that sleeps")
            run = bench("-n", 500, "-c", 1, f"--pid={server.pid}", "--rest=0", WAIT, address)
        finally:
            os.killpg(server.pid, signal.SIGKILL)
    assert run.status == 1
    assert f"process {server.pid} " in run.err and "is it the server?" in run.err
    assert json.loads(run.out)["server"]["cpu_us_per_message"] is None


def test_a_server_that_ends_before_it_is_weighed(serve):
    with subprocess.Popen(["/usr/bin/python3", "-c", FORKING], stdout=subprocess.PIPE, text=True,
                          start_new_session=True) as server:
        port = int(server.stdout.readline())

        def talk(connection):
            connection.sendall(connection.recv(100))
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
            connection.sendall(connection.recv(100))

        address = serve(faulty.Tcp(talk))
        run = bench("-n", 2, "-c", 1, f"--pid={server.pid}", "--rest=0", WAIT, address)
    assert port > 0
    assert (run.status, json.loads(run.out)["messages"]) == (1, 2)
    assert "is it the server?" in run.err


def test_ctrl_c_prints_the_results_so_far(daemon):
    with subprocess.Popen([BENCH, "--json", "-t", "600", "-w", "0", daemon.address], stdout=subprocess.PIPE,
                          text=True) as running:
        wait_for_traffic(daemon)
        running.send_signal(signal.SIGINT)
        out = running.communicate(timeout=PATIENCE)[0]
    assert running.returncode == 0
    assert '"interrupted": true' in out
    assert '"errors": 0' in out
    assert '"in_flight": 0' in out


def test_ctrl_c_while_the_server_says_nothing(serve):
    heard = threading.Event()

    def talk(connection):
        connection.recv(100)
        heard.set()
        while connection.recv(65536):
            pass

    address = serve(faulty.Tcp(talk))
    with subprocess.Popen([BENCH, "-t", "600", "-w", "0", "-c", "1", "-d", "3", "--timeout=600", address],
                          stdout=subprocess.PIPE, text=True) as running:
        assert heard.wait(PATIENCE)
        running.send_signal(signal.SIGINT)
        out = running.communicate(timeout=PATIENCE)[0]
    assert running.returncode == 1
    assert "interrupted" in out
    assert "in flight   3 messages" in out
    assert "latency     -\n" in out


def test_the_timeline_has_every_message(measure):
    result = measure("-t", 1, "-w", 0.1, "--timeout=30")
    timeline = result["timeline"]
    assert 2 <= len(timeline) <= 5
    assert timeline[0]["began"] == 0
    assert [part["began"] for part in timeline[1:]] == [part["ended"] for part in timeline[:-1]]
    assert 0.8 * result["messages"] <= sum(part["messages"] for part in timeline) <= result["messages"]
    assert all(0 < part["p50_us"] <= part["p99_us"] <= part["max_us"] for part in timeline if part["messages"])


def test_the_distribution_is_that_of_the_percentiles(measure):
    result = measure("-n", 5000)
    shares, values = zip(*result["distribution"])
    assert list(shares) == sorted(shares) and list(values) == sorted(values)
    assert result["distribution"][0] == [0, result["latency_us"]["min"]]
    assert dict(result["distribution"])[50] == result["latency_us"]["p50"]
    assert values[-1] == result["latency_us"]["max"]


def test_the_machine_is_named(daemon):
    """Who else was busy can be told where the server is known: between nobody and all cores."""
    machine = bench("-t", 0.5, f"--pid={daemon.pid}", "--rest=0", daemon.address).json()["machine"]
    assert machine["kernel"] == os.uname().release
    assert machine["cores"] == os.cpu_count()
    assert 0 <= machine["others_percent"] <= 110 and 0 <= machine["stolen_percent"] <= 110


@pytest.mark.parametrize("repeat", [2, 3])
def test_repeated_runs(measure, repeat):
    runs = measure("-n", 200, f"--repeat={repeat}", WAIT)["runs"]
    assert [run["messages"] for run in runs] == [200] * repeat
    assert len({run["latency_us"]["mean"] for run in runs}) > 1


def test_a_run_that_is_interrupted_is_the_last(daemon):
    with subprocess.Popen([BENCH, "--json", "-t", "600", "-w", "0", "--repeat=50", daemon.address],
                          stdout=subprocess.PIPE, text=True) as running:
        wait_for_traffic(daemon)
        running.send_signal(signal.SIGINT)
        out = running.communicate(timeout=PATIENCE)[0]
    runs = json.loads(out)["runs"]
    assert running.returncode == 0
    assert [run["interrupted"] for run in runs] == [True]


def half_open(port):
    """How many connections to PORT are under way: SYN_SENT."""
    return Path("/proc/net/tcp").read_text().count(f" 0100007F:{port:04X} 02 ")


def test_ctrl_c_while_connecting():
    """Nothing is measured yet, so there is nothing to print: the signal ends it as it does others."""
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        deadline = time.monotonic() + PATIENCE
        while half_open(port) == 0:
            assert time.monotonic() < deadline
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        before = half_open(port)
        with subprocess.Popen([BENCH, "-c", "1", "--timeout=600", f"127.0.0.1:{port}"], stdout=subprocess.PIPE,
                              text=True) as running:
            while half_open(port) <= before:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            running.send_signal(signal.SIGINT)
            out = running.communicate(timeout=PATIENCE)[0]
    assert (running.returncode, out) == (-signal.SIGINT, "")


def wait_for_traffic(daemon):
    """Until the daemon has used some CPU: then messages go."""
    start = schedstat(daemon.pid)
    deadline = time.monotonic() + PATIENCE
    while schedstat(daemon.pid) - start < 50_000_000:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_hgrm(daemon, tmp_path):
    path = tmp_path / "latency.hgrm"
    result = bench("-n", 1000, f"--hgrm={path}", daemon.address).json()
    table = path.read_text().splitlines()
    rows = [line.split() for line in table if line and line[0] != "#"][1:]
    assert int(rows[-1][2]) == 1000
    assert float(rows[-1][0]) == pytest.approx(result["latency_us"]["max"] / 1000, abs=1e-5)
    assert [float(row[1]) for row in rows] == sorted(float(row[1]) for row in rows)


def test_hgrm_that_cannot_be_written(daemon):
    run = bench("-n", 10, "--hgrm=/dev/full", daemon.address)
    assert run.status == 1
    assert "/dev/full" in run.err


def test_hgrm_is_opened_before_the_run():
    run = bench("-n", 10, "--hgrm=/no/such/dir/file", "127.0.0.1:1")
    assert (run.status, run.out) == (1, "")
    assert "/no/such/dir/file" in run.err and "refused" not in run.err


def test_hgrm_of_an_earlier_run_stays_until_there_is_another(daemon, tmp_path):
    path = tmp_path / "latency.hgrm"
    path.write_text("old\n" * 10000)
    assert bench("-n", 10, f"--hgrm={path}", "127.0.0.1:1").status == 1
    assert path.read_text() == "old\n" * 10000
    assert bench("-n", 10, f"--hgrm={path}", daemon.address).status == 0
    assert "old" not in path.read_text()
