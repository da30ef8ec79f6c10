# SPDX-License-Identifier: MIT
"""The installed units under a real systemd: each point of what they promise."""
import os
import re
import shutil
import stat
import subprocess

import pytest

from build import ROOT
from harness import clients, pages
from harness.clients import serves
from harness.daemon import Daemon
from harness.lines import GOODBYE, TOKEN_INVALID, TOKEN_MISSING, TOKEN_REQUIRED
from harness.wait import wait_until
from harness.load import Load

README = (ROOT / "README.md").read_text()
PORT = 12345
SERVICE = "epoll-echo.service"
STANDALONE = "epoll-echo-standalone.service"
TOKEN = "/etc/credstore/epoll-echo.shutdown-token"


FURTHER = "/etc/systemd/system/epoll-echo-{name}.socket"
DROP_INS = "/run/systemd/system/{unit}.d/test.conf"

# While the socket triggers it, a stopped service comes back with the next client.
UNDO = f"""
rm -rf {TOKEN} /etc/echo-token /etc/echo /etc/default/epoll-echo
systemctl stop epoll-echo.socket {SERVICE} {STANDALONE}
for socket in {FURTHER.format(name="*")}; do systemctl disable --now "${{socket##*/}}" && rm "$socket"; done 2>/dev/null
if rm {DROP_INS.format(unit="epoll-echo*.service")}; then systemctl daemon-reload; fi 2>/dev/null
systemctl reset-failed
systemctl start epoll-echo.socket
"""


@pytest.fixture(autouse=True)
def as_installed(guest):
    """Every test begins with the socket listening and the service not started yet."""
    yield
    guest.run("sh", "-ec", UNDO)


def state(guest, unit=SERVICE):
    return guest.show(unit, "ActiveState")


def await_state(guest, wanted, unit=SERVICE):
    wait_until(lambda: state(guest, unit) == wanted, f"{unit} {wanted}")


def main_pid(guest, unit=SERVICE):
    return guest.show(unit, "MainPID")


def write(guest, path, content, mode=0o644):
    file = guest.path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    file.chmod(mode)


def options(guest, line):
    write(guest, "/etc/default/epoll-echo", f"EPOLL_ECHO_OPTIONS={line}\n")


def drop_in(guest, *lines, unit=SERVICE):
    """What `systemctl edit --runtime` would do."""
    write(guest, DROP_INS.format(unit=unit), "\n".join(["[Service]", *lines, ""]))
    guest.run("systemctl", "daemon-reload")


def Client():
    return clients.Client("::1", PORT)


def ask(line):
    with Client() as client:
        return client.ask(line)


# 1: socket activation


@pytest.mark.parametrize("address", ["::1", "127.0.0.1"])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_first_packet_activates(guest, protocol, address):
    assert state(guest) == "inactive"
    serves(host=address, **{protocol: PORT})
    assert state(guest) == "active"
    assert main_pid(guest) != "0"
    serves(PORT, PORT, host=address)


def test_options_that_contradict_are_told(guest):
    options(guest, "--port=1")
    guest.run("systemctl", "start", SERVICE, check=False)
    wait_until(lambda: guest.journal("ECHO_EVENT=cannot serve the passed sockets"), "the message")


def test_the_host_names_itself(guest):
    name = guest.run("uname", "-n").stdout.strip()
    assert ask(b"/whoami\n").endswith(f" name={name}\n".encode())


def test_another_name_replaces_the_hosts(guest):
    options(guest, "--name=web-3 --max-tcp=10000")
    assert ask(b"/whoami\n").endswith(b" name=web-3\n")


def open_further(guest, name):
    """As README.md shows it, beside the port that is there, whose service runs already."""
    serves(PORT, PORT)
    found = re.findall(r"`(/etc/systemd/system/\S+)`,\n\n  ```\n(.*?)  ```\n\n  and `(.*?)`", README, re.DOTALL)
    ((path, unit, commands),) = [further for further in found if further[0] == FURTHER.format(name=name)]
    write(guest, path, unit.replace("\n  ", "\n").lstrip())
    guest.run("sh", "-ec", commands)


def test_the_readme_shows_how_to_open_a_port_for_raw_bytes(guest):
    open_further(guest, "raw")
    for host in ("::1", "127.0.0.1"):
        with clients.Client(host, 7) as raw, clients.Peer(host, 7) as datagrams:
            assert raw.ask_all(b"/stats\nno end") == b"/stats\nno end"
            assert datagrams.ask(b"/stats") == b"/stats"
    serves(PORT, PORT)
    assert ask(b"/stats\n").startswith(b"total_clients=")


def test_the_readme_shows_how_to_open_a_port_for_pages_and_a_restart_refuses_nobody(guest):
    open_further(guest, "http")
    with Load(PORT) as load:
        for _ in range(3):
            restart = subprocess.Popen(guest.command("systemctl", "restart", SERVICE))
            while restart.poll() is None:
                with clients.Client("127.0.0.1", 9100) as client:  # refused, it would fail
                    client.send(b"GET /livez HTTP/1.1\r\n\r\n")
                    answer = client.rest()
                # Empty: it was taken in, and asked after the server had stopped reading.
                assert answer == b"" or pages.Page.of(answer).status == 200
            assert restart.returncode == 0
            assert pages.metrics(9100)["epoll_echo_draining"] == 0
            load.await_more()
    assert load.failed() == {}


# 2: restarts


def test_twenty_restarts_under_load(guest, figure):
    serves(PORT, PORT)
    seen = {main_pid(guest)}
    lines = [b"line %d\n" % i for i in range(200)]
    with Load(PORT) as load:
        for _ in range(20):
            clients = [Client() for _ in range(3)]
            for client in clients:
                assert client.ask(b"accepted\n") == b"accepted\n"
                client.send(b"".join(lines))
                client.delivered()
            restart = subprocess.Popen(guest.command("systemctl", "restart", SERVICE))
            for client in clients:
                assert client.read(len(b"".join(lines))) == b"".join(lines)
                assert client.ask(b"still here\n") == b"still here\n"
                client.close()
            assert restart.wait(60) == 0
            seen.add(main_pid(guest))
            load.await_more()
    assert len(seen) == 21
    figure(f"20 restarts: {load}")
    assert load.failed() == {}
    assert guest.show("epoll-echo.socket", "Result") == "success"


def test_kill_loses_no_new_client(guest):
    """After a crash, the clients that wait are the next process's."""
    serves(PORT)
    for _ in range(2):
        before = main_pid(guest)
        guest.run("systemctl", "kill", "-s", "KILL", SERVICE)
        serves(PORT, PORT)
        assert main_pid(guest) != before


# 3: journal


def field(entries, name):
    return {entry.get(name) for entry in entries}


def test_journal_has_fields(guest):
    serves(PORT)
    pid = main_pid(guest)
    entries = guest.journal("ECHO_EVENT=listening", f"_PID={pid}")
    assert field(entries, "ECHO_PROTO") == {"tcp", "udp"}
    assert field(entries, "ECHO_ADDR") == {"[::]:12345"}
    assert field(entries, "PRIORITY") == {"6"}
    assert field(entries, "SYSLOG_IDENTIFIER") == {"epoll-echo"}
    assert field(entries, "_SYSTEMD_UNIT") == {SERVICE}
    assert field(entries, "_TRANSPORT") == {"journal"}
    assert all(re.match(r"listening .*proto=\w+ addr=\S+", entry["MESSAGE"]) for entry in entries)


def test_journal_has_priorities(guest):
    write(guest, TOKEN, "", 0o600)
    guest.run("systemctl", "start", SERVICE, check=False)
    wait_until(lambda: guest.journal("ECHO_EVENT=cannot use the token file"), "the message")
    entries = guest.journal("ECHO_EVENT=cannot use the token file", "PRIORITY=3")
    assert entries and "shutdown-token" in entries[-1]["ECHO_ERROR"]


def run_unit(guest, *lines):
    """Runs a unit of our own to its end."""
    write(guest, "/run/systemd/system/own.service", "\n".join(["[Service]", "Type=oneshot", *lines, ""]))
    guest.run("systemctl", "daemon-reload")
    guest.run("systemctl", "start", "own.service", check=False)


def test_journal_takes_any_value(guest):
    """A line feed in a value does not end the field, let alone begin another."""
    path = r"/no/such\nPRIORITY=0\nECHO_EVENT=forged"
    run_unit(guest, f'ExecStart=/usr/local/bin/epoll-echo "--shutdown-token-file={path}"')
    # By the time that the journal looks for its unit, it may have ended.
    *_, entry = [entry for entry in guest.journal("SYSLOG_IDENTIFIER=epoll-echo") if "/no/such" in entry["MESSAGE"]]
    path = path.replace(r"\n", "\n")
    assert path in entry["ECHO_ERROR"] and path in entry["MESSAGE"]
    assert entry["PRIORITY"] == "3" and entry["ECHO_EVENT"] == "cannot use the token file"


def test_logfmt_where_standard_error_is_a_file(guest):
    """StandardOutput= is the journal still, so JOURNAL_STREAM is set."""
    run_unit(guest, "ExecStart=/usr/local/bin/epoll-echo --port=0 --bind=192.0.2.1",
             "StandardError=file:/run/own.log")
    assert 'level=error msg="cannot listen"' in guest.path("/run/own.log").read_text()
    assert not guest.journal("ECHO_EVENT=cannot listen")


# 4: credentials


def shut_down(guest, token):
    """Whether the service takes TOKEN, and no other."""
    assert ask(b"/shutdown wrong\n") == TOKEN_INVALID
    assert ask(b"/shutdown " + token + b"\n") == GOODBYE
    await_state(guest, "inactive")
    assert guest.show(SERVICE, "Result") == "success"


def test_no_token(guest):
    assert ask(b"/shutdown x\n") == TOKEN_MISSING


@pytest.mark.parametrize("loaded", [True, False])
def test_load_credential_and_set_credential(guest, loaded):
    """Of both, the second is what holds where the first finds nothing."""
    if loaded:
        write(guest, "/etc/echo-token", "loaded", 0o600)
    drop_in(guest, "LoadCredential=shutdown-token:/etc/echo-token", "SetCredential=shutdown-token:set")
    shut_down(guest, b"loaded" if loaded else b"set")


def test_credential_is_read_by_a_dynamic_user_and_nobody_else(guest):
    write(guest, TOKEN, "secret", 0o600)
    serves(PORT)
    status = guest.path(f"/proc/{main_pid(guest)}/status").read_text()
    user = int(re.search(r"Uid:\t(\d+)", status)[1])
    assert 61184 <= user <= 65519  # systemd's range for dynamic users
    path = f"/run/credentials/{SERVICE}/shutdown-token"
    file = guest.path(path).stat()
    assert file.st_uid == user and stat.S_IMODE(file.st_mode) == 0o400
    for other in (65534, 1, user - 1):
        done = guest.run("setpriv", f"--reuid={other}", "--clear-groups", "cat", path, check=False)
        assert done.returncode != 0 and "secret" not in done.stdout
    shut_down(guest, b"secret")
    for value in guest.journal(f"_SYSTEMD_UNIT={SERVICE}"):
        assert "secret" not in str(value)


# 5: notify


def test_started_once_it_is_ready(guest):
    guest.run("systemctl", "start", SERVICE)  # comes back with READY=1
    assert guest.show(SERVICE, "Type") == "notify"
    assert guest.journal("ECHO_EVENT=listening", f"_PID={main_pid(guest)}")
    assert guest.show(SERVICE, "StatusText") == "total_clients=0 active_udp_peers=0 connected_tcp=0"


def test_reload_reads_the_token_again(guest):
    """With a file: systemd hands credentials over at the start, and not again."""
    # With a user of that name, DynamicUser= takes it, and its file can be made beforehand.
    drop_in(guest, "User=games", "BindReadOnlyPaths=/etc/echo")
    options(guest, "--shutdown-token-file=/etc/echo/token")
    write(guest, "/etc/echo/token", "old", 0o600)
    guest.run("chown", "games", "/etc/echo/token")
    assert ask(b"/shutdown wrong\n") == TOKEN_INVALID
    pid = main_pid(guest)

    def reload(token, event):
        guest.path("/etc/echo/token").write_text(token)
        guest.run("systemctl", "reload", SERVICE)
        wait_until(lambda: guest.journal(f"_PID={pid}", f"ECHO_EVENT={event}"), event)

    reload("", "token not read, the one of before stays")
    assert ask(b"/shutdown \n") == TOKEN_REQUIRED
    reload("new", "token read again")
    await_state(guest, "active")
    assert main_pid(guest) == pid
    assert ask(b"/shutdown old\n") == TOKEN_INVALID
    assert ask(b"/shutdown new\n") == GOODBYE


def test_stuck_loop_is_killed_and_restarted(guest):
    drop_in(guest, "WatchdogSec=2")
    serves(PORT)
    pid = main_pid(guest)
    guest.run("kill", "-STOP", pid)
    serves(PORT, PORT)  # by the process that takes its place
    assert main_pid(guest) != pid
    assert int(guest.show(SERVICE, "NRestarts")) >= 1
    assert any("Watchdog timeout" in e["MESSAGE"] for e in guest.journal(f"UNIT={SERVICE}"))


def test_stop_drains(guest):
    """A client that has not read yet gets all that it is owed, and a clean end."""
    line = b"x" * 4000 + b"\n"
    client = Client()
    assert client.ask(b"accepted\n") == b"accepted\n"
    client.send(line * 100)
    client.delivered()
    pid = main_pid(guest)
    stopping = subprocess.Popen(guest.command("systemctl", "stop", "epoll-echo.socket", SERVICE))
    assert client.rest() == line * 100
    assert stopping.wait(60) == 0
    assert state(guest) == "inactive" and guest.show(SERVICE, "Result") == "success"
    entries = guest.journal(f"_PID={pid}")
    assert [e["ECHO_EVENT"] for e in entries][-2:] == ["stopping", "stopped"]


# 6: units


# What is left open: the journal's socket, and the clock that ProtectClock= adds to an empty list.
LEFT = {"RestrictAddressFamilies=~AF_UNIX", "DeviceAllow="}
NETWORK = {"RestrictAddressFamilies=~AF_(INET|INET6)", "PrivateNetwork=", "IPAddressDeny="}


@pytest.mark.parametrize("unit, left, most", [(SERVICE, LEFT, 0.1), ("epoll-echo@1.service", LEFT, 0.1),
                                              (STANDALONE, LEFT | NETWORK, 1.0)])
def test_exposure(guest, figure, unit, left, most):
    text = guest.run("systemd-analyze", "security", "--offline=yes", "--no-pager", unit).stdout
    level = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", text)[1])
    figure(f"exposure of {unit}: {level}")
    assert level <= most
    assert set(re.findall(r"^✗ (\S+)", text, re.MULTILINE)) == left


def test_units_verify(guest):
    man = "yes" if (ROOT / "man/epoll-echo.8").exists() else "no"
    units = guest.path("/usr/local/lib/systemd/system").glob("epoll-echo*")
    paths = [f"/usr/local/lib/systemd/system/{unit.name}" for unit in units]
    assert len(paths) == 5
    done = guest.run("systemd-analyze", "verify", f"--man={man}", *paths)
    assert done.stdout == ""


def open_files(guest, pid):
    """The soft and the hard limit."""
    limits = guest.path(f"/proc/{pid}/limits").read_text()
    return [int(n) for n in re.search(r"Max open files +(\d+) +(\d+) ", limits).groups()]


def test_sandbox_holds(guest):
    serves(PORT, PORT)
    pid = main_pid(guest)
    status = guest.path(f"/proc/{pid}/status").read_text()
    assert re.search(r"NoNewPrivs:\t1\n", status) and re.search(r"Seccomp:\t2\n", status)
    for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb"):
        assert re.search(rf"Cap{kind}:\t0+\n", status)
    assert re.search(r"Threads:\t1\n", status)
    own = os.readlink(f"/proc/{guest.pid}/ns/net")
    assert os.readlink(guest.path(f"/proc/{pid}/ns/net")) != own  # PrivateNetwork=
    files = [open_files(guest, number) for number in ("1", pid)]
    assert files[1] == [min(65536, files[0][1])] * 2  # LimitNOFILE=, as far as the guest allows


def test_sandbox_of_its_own_is_inside(guest):
    options(guest, "-vv")
    serves(PORT)
    (entry,) = guest.journal("ECHO_EVENT=sandbox", f"_PID={main_pid(guest)}")
    assert (entry["ECHO_PRIVILEGES"], entry["ECHO_CALLS"]) == ("dropped", "filtered")
    assert entry["ECHO_FILES"] in ("closed", "Function not implemented", "Operation not supported")


def test_files_are_those_that_it_needs(guest):
    serves(PORT)
    root = guest.path(f"/proc/{main_pid(guest)}/root")
    assert not (root / "etc").exists() or not list((root / "etc").iterdir())
    assert not (root / "home").exists()


def standalone(guest, line):
    """Starts the unit with sockets of its own, and these options."""
    guest.run("systemctl", "stop", "epoll-echo.socket", SERVICE)
    options(guest, line)
    guest.run("systemctl", "start", STANDALONE)  # comes back with READY=1


def test_standalone(guest):
    write(guest, TOKEN, "secret", 0o600)
    standalone(guest, "--port=2345 --listen=http:127.0.0.1:9100")
    serves(2345, 2345)
    assert pages.get(9100, "/readyz").status == 200
    guest.run("systemctl", "restart", STANDALONE)
    serves(2345, 2345)
    entries = guest.journal("ECHO_EVENT=listening", f"_PID={main_pid(guest, STANDALONE)}")
    assert field(entries, "ECHO_ADDR") == {"[::]:2345", "127.0.0.1:9100"}
    assert re.match("total_clients=", guest.show(STANDALONE, "StatusText"))
    with clients.Client("::1", 2345) as client:
        assert client.ask(b"/shutdown secret\n") == GOODBYE
    await_state(guest, "inactive", STANDALONE)
    assert guest.show(STANDALONE, "Result") == "success"


def test_standalone_is_as_closed_as_the_others(guest):
    """But for the network, which it needs."""
    standalone(guest, "--port=2345")
    status = guest.path(f"/proc/{main_pid(guest, STANDALONE)}/status").read_text()
    assert re.search(r"NoNewPrivs:\t1\n", status) and re.search(r"CapBnd:\t0+\n", status)
    root = guest.path(f"/proc/{main_pid(guest, STANDALONE)}/root")
    assert not (root / "etc").exists() or not list((root / "etc").iterdir())


# 7: the end, and a balancer that is told of it


DRAINED = re.search(r"^  ```ini\n(.*?)^  ```$", README, re.MULTILINE | re.DOTALL)[1]
OWN, OTHER = "127.0.0.2", "127.0.0.3"
STOPS = 20


def rules(*addresses):
    """deploy/nftables for clients of this machine."""
    text = (ROOT / "deploy/nftables/epoll-echo.nft").read_text()
    for name, address in zip(("first", "second", "third"), addresses):
        text = re.sub(rf"define {name} = .*", f"define {name} = {address}", text)
    return text.replace("hook prerouting priority dstnat", "hook output priority -100")


def fresh(turn):
    """The address that is spread, from one that a router has not seen before."""
    return "127.0.0.1", (f"127.{1 + turn // 62500}.{turn // 250 % 250}.{turn % 250 + 1}", 0)


def test_of_twenty_stops_nobody_loses_an_answer(guest, figure):
    """The README's lines for a balancer, which is nftables here."""
    if not shutil.which("nft"):
        pytest.skip("there is no nft (Debian: nftables)")
    write(guest, "/etc/balancer/in.nft", rules(OWN, OTHER, OWN))
    write(guest, "/etc/balancer/out.nft", rules(OTHER, OTHER, OTHER))
    drop_in(guest, *DRAINED.replace("\n  ", "\n").splitlines()[1:], unit=STANDALONE)
    standalone(guest, f"--bind={OWN} --drain-delay=1")
    with Daemon(f"--bind={OTHER}", port=PORT), Load(PORT, way=fresh) as load:
        for _ in range(STOPS):
            guest.run("systemctl", "stop", STANDALONE)
            assert guest.show(STANDALONE, "Result") == "success"
            load.await_more()
            guest.run("systemctl", "start", STANDALONE)
            load.await_more()
    guest.run("systemctl", "stop", STANDALONE)  # which loads rules once more
    subprocess.run(["nft", "delete", "table", "ip", "epoll_echo"], check=True)
    figure(f"{STOPS} stops, taken out by ExecStop=: {load}")
    assert load.counts.keys() == {"answered", "udp answered"}


def test_a_stopped_service_is_back_for_the_next_client(guest, figure):
    """While its socket listens, a delay only postpones the next process."""
    options(guest, "--drain-delay=1")
    with Load(PORT) as load:
        for _ in range(3):
            pid = main_pid(guest)
            guest.run("systemctl", "stop", SERVICE)
            load.await_more()
            assert main_pid(guest) != pid
    figure(f"3 stops, the socket stays: {load}")
    assert load.failed() == {}


def test_the_units_leave_time_for_the_end(guest):
    for unit in (SERVICE, STANDALONE, "epoll-echo@1.service"):
        assert guest.show(unit, "TimeoutStopUSec") == "1min 30s"


@pytest.mark.parametrize("seconds, result", [(1, "timeout"), (60, "success")])
def test_what_a_stop_takes_has_to_fit_into_its_timeout(guest, seconds, result):
    """Who does not read takes all of --drain-timeout."""
    drop_in(guest, f"TimeoutStopSec={seconds}", unit=STANDALONE)
    standalone(guest, "--port=2345 --drain-delay=1 --drain-timeout=1")
    with clients.Client("::1", 2345, receive_buffer=4096) as client:
        client.clog((b"x" * 1000 + b"\n") * 20_000)
        guest.run("systemctl", "stop", STANDALONE)
    assert guest.show(STANDALONE, "Result") == result


# 8: more than one core


def test_one_process_for_each_socket(guest, figure):
    """They share the port, and each can be restarted without a client refused or reset."""
    sockets = [f"epoll-echo@{i}.socket" for i in (1, 2)]
    services = [f"epoll-echo@{i}.service" for i in (1, 2)]
    guest.run("systemctl", "stop", "epoll-echo.socket", SERVICE)
    guest.run("systemctl", "enable", "--now", *sockets)
    try:
        with Load(PORT) as load:  # the kernel spreads its connections over both
            for service in services:
                await_state(guest, "active", service)
            pids = [main_pid(guest, service) for service in services]
            for service in services * 3:
                guest.run("systemctl", "restart", service)
                load.await_more()
            for service, pid in zip(services, pids):
                assert main_pid(guest, service) not in ("0", *pids)
                status = guest.path(f"/proc/{main_pid(guest, service)}/status").read_text()
                assert re.search(r"Threads:\t1\n", status)
        figure(f"6 restarts of one of two processes: {load}")
        assert load.failed() == {}
    finally:
        guest.run("systemctl", "disable", "--now", *sockets)
        guest.run("systemctl", "stop", *services)
