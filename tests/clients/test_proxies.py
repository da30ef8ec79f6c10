"""Proxies that announce their clients: HAProxy, nginx and curl. /whoami shows who is behind them."""

import contextlib
import os
import socket
import ssl
import subprocess

import pytest

from harness.clients import Client, shown
from harness.wait import PATIENCE, wait_until
from programs import Program, exchange, need

ECHO, RAW = 12346, 12347  # the ports that want a header
STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"
CLIENTS = {"127.0.0.1": "127.0.0.9", "::1": "::1"}  # by where they connect to

# The last two only check, 20 times a second: with a header that announces nobody, or by connecting and
# nothing else.
HAPROXY = r"""global
    stats socket {place}/socket
defaults
    mode tcp
    timeout connect 30s
    timeout client 30s
    timeout server 30s
    unique-id-format %[uuid()]
listen v1
    bind 127.0.0.1:2001
    bind [::1]:2001
    server box 127.0.0.1:12346 send-proxy
listen v2
    bind 127.0.0.1:2002
    bind [::1]:2002
    server box 127.0.0.1:12346 send-proxy-v2 proxy-v2-options crc32c,authority,unique-id,ssl
listen tls
    bind 127.0.0.1:2003 ssl crt {place}/pem
    server box 127.0.0.1:12346 send-proxy-v2 proxy-v2-options crc32c,authority,ssl
listen checked
    bind 127.0.0.1:2004
    option tcp-check
    tcp-check send "/whoami\n"
    tcp-check expect rstring "^proto=tcp peer=127.0.0.1:[0-9]+ local=127.0.0.1:12346 via=127.0.0.1:[0-9]+ name=box"
    default-server check check-send-proxy inter 50ms
    server v1 127.0.0.1:12346 send-proxy
    server v2 127.0.0.1:12346 send-proxy-v2
listen connected
    bind 127.0.0.1:2005
    server box 127.0.0.1:12346 check port 12346 inter 50ms send-proxy-v2
"""

NGINX = """load_module {module};
daemon off;
user root;
pid {place}/pid;
error_log stderr notice;
events {{ worker_connections 64; }}
stream {{
    proxy_protocol on;
    server {{ listen 127.0.0.1:3001; listen [::1]:3001; proxy_pass 127.0.0.1:12346; }}
    server {{ listen 127.0.0.1:3002; proxy_pass 127.0.0.1:12347; proxy_half_close on; }}
}}
"""


@pytest.fixture(scope="module")
def haproxy(server, tmp_path_factory):
    need("/usr/sbin/haproxy")
    need("openssl")
    place = tmp_path_factory.mktemp("haproxy")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-subj", "/CN=echo.example", "-keyout", place / "pem", "-out", place / "certificate"],
                   check=True, capture_output=True)
    with open(place / "pem", "ab") as pem:
        pem.write((place / "certificate").read_bytes())
    (place / "configuration").write_text(HAPROXY.format(place=place))
    with Program("/usr/sbin/haproxy", "-db", "-f", str(place / "configuration")) as program:
        program.control = str(place / "socket")
        wait_until(lambda: os.path.exists(program.control) or program.process.poll() is not None, "HAProxy")
        assert program.process.poll() is None, program.text()
        yield program


@pytest.fixture(scope="module")
def nginx(server, tmp_path_factory):
    need("/usr/sbin/nginx")
    if not os.path.exists(STREAM_MODULE):
        pytest.skip(f"there is no {STREAM_MODULE} (Debian: libnginx-mod-stream)")
    place = tmp_path_factory.mktemp("nginx")
    (place / "configuration").write_text(NGINX.format(place=place, module=STREAM_MODULE))
    with Program("/usr/sbin/nginx", "-p", str(place), "-c", str(place / "configuration")) as program:
        program.await_text("start worker process ")
        yield program


def connect(host, port):
    """It listens once its configuration has been read."""

    def connected():
        with contextlib.suppress(ConnectionRefusedError):
            return Client(host, port, source=CLIENTS[host])

    return wait_until(connected, f"port {port}")


def announced(host, port):
    """What /whoami answers to a client of the proxy's on that port; and what it has to answer."""
    with connect(host, port) as client:
        expected = f"peer={shown(CLIENTS[host], client.port)} local={shown(host, port)} via=127.0.0.1:"
        return client.ask(b"/whoami\n").decode(), expected


@pytest.mark.parametrize("host", CLIENTS)
@pytest.mark.parametrize("port", [2001, 2002], ids=["v1", "v2"])
def test_haproxy(haproxy, host, port):
    answer, expected = announced(host, port)
    assert answer.startswith(f"proto=tcp {expected}") and answer.endswith(" name=box\n")


def test_haproxy_with_tls_in_front(haproxy):
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    connect("127.0.0.1", 2003).close()
    with socket.create_connection(("127.0.0.1", 2003), PATIENCE) as plain:
        port = plain.getsockname()[1]
        with trusting.wrap_socket(plain, server_hostname="echo.example") as client:
            client.sendall(b"/whoami\n")
            answer = client.makefile("rb").readline().decode()
            version = client.version()
    assert answer.startswith(f"proto=tcp peer=127.0.0.1:{port} local=127.0.0.1:2003 via=")
    assert answer.endswith(f" authority=echo.example tls={version} name=box\n")


def checks(control):
    """(backend, server) -> up or not, and whether the latest check passed."""
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect(control)
        admin.sendall(b"show servers state\n")
        lines = admin.makefile().read().splitlines()
    rows = [line.split() for line in lines if line[:1].isdigit() and " " in line]
    return {(row[1], row[3]): (row[5] == "2", row[11] == "3") for row in rows}


def test_health_checks_of_haproxy_pass_and_are_no_error(haproxy, server):
    wanted = {("checked", "v1"), ("checked", "v2"), ("connected", "box")}

    def passed():
        return all(checks(haproxy.control)[name] == (True, True) for name in wanted)

    wait_until(passed, "the checks to pass")
    before = server.stats()["total_clients"]
    wait_until(lambda: server.stats()["total_clients"] > before + 20, "further checks")
    assert passed()
    assert server.stats()["proxy_refused"] == 0 and not server.find(msg="proxy header refused")


@pytest.mark.parametrize("host", CLIENTS)
def test_nginx(nginx, host):
    answer, expected = announced(host, 3001)
    assert answer.startswith(f"proto=tcp {expected}") and answer.endswith(" name=box\n")


def test_all_comes_back_through_nginx(nginx):
    data = os.urandom(1_000_000)
    with connect("127.0.0.1", 3002) as client:
        client.send_in_background(data)
        assert client.rest() == data


def test_curl(server):
    command = ["curl", "--silent", "--no-buffer", "--haproxy-protocol", f"telnet://127.0.0.1:{ECHO}"]
    answer = exchange(command, b"/whoami\n", lambda answer: b"\n" in answer).decode()
    assert answer.startswith("proto=tcp peer=127.0.0.1:") and " via=127.0.0.1:" in answer
