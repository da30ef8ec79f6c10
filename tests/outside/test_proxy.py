"""The PROXY header, on ports that want one: what /whoami makes of it, and what is refused."""

import contextlib
import socket
import struct

import pytest

from harness.lines import NOT_LOOPBACK
from harness.wait import wait_until

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
V4 = socket.inet_aton("192.0.2.1") + socket.inet_aton("198.51.100.7") + struct.pack("!HH", 56324, 12345)
V1 = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 12345\r\n"


def v2(body, first=0x21, family=0x11):
    return SIGNATURE + struct.pack("!BBH", first, family, len(body)) + body


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


PROXY4 = "peer=192.0.2.1:56324 local=198.51.100.7:12345"
PROXY6 = "peer=[2001:db8::1]:56324 local=[2001:db8::7]:12345"
REAL = "peer={peer} local={local}"

# The header, the addresses that /whoami tells, and what it tells behind via=.
TAKEN = {
    "v1-TCP4": (V1, PROXY4, ""),
    "v1-TCP6": (b"PROXY TCP6 2001:db8::1 2001:DB8::7 56324 12345\r\n", PROXY6, ""),
    "v1-UNKNOWN": (b"PROXY UNKNOWN\r\n", REAL, ""),
    "v1-UNKNOWN-more": (b"PROXY UNKNOWN x y z\r\n", REAL, ""),
    "v1-longest": (b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n", REAL, ""),
    "v2-LOCAL": (v2(b"", 0x20, 0), REAL, ""),
    # A load balancer of Amazon's: a family, and no addresses of it.
    "v2-LOCAL-AWS": (v2(bytes.fromhex("030004bce5951f04004a") + bytes(74), 0x20), REAL, ""),
    "v2-UNSPEC": (v2(b"", family=0), REAL, ""),
    "v2-unix": (v2(bytes(216), family=0x31), REAL, ""),
    "v2-TCP4": (v2(V4), PROXY4, ""),
    "v2-UDP4": (v2(V4, family=0x12), PROXY4, ""),
    "v2-TCP6": (v2(bytes.fromhex("20010db8000000000000000000000001" "20010db8000000000000000000000007" "dc043039"),
                   family=0x21), PROXY6, ""),
    "v2-NOOP": (v2(V4 + tlv(4, b"\0")), PROXY4, ""),
    "v2-CRC": (v2(V4 + tlv(3, bytes.fromhex("19011fba"))), PROXY4, ""),
    "v2-AUTHORITY-CRC": (v2(V4 + tlv(2, b"echo.example") + tlv(3, bytes.fromhex("aa10fb50"))), PROXY4,
                         " authority=echo.example"),
    "v2-SSL": (v2(V4 + tlv(0x20, b"\1\0\0\0\0" + tlv(0x21, b"TLSv1.3"))), PROXY4, " tls=TLSv1.3"),
    "v2-unprintable": (v2(V4 + tlv(2, b"two words\n") + tlv(0x20, b"\1\0\0\0\0" + tlv(0x21, b"\x1b"))), PROXY4, ""),
    "v2-longest": (v2(V4 + tlv(4, bytes(4096 - 16 - 12 - 3))), PROXY4, ""),
}

V1_ADDRESS, V1_PORT, V1_END = "an address is wrong", "a port is wrong", "it does not end with CR and LF"

# The header and a part of the reason that the log tells.
REFUSED = {
    "v1-zero-in-front": (V1.replace(b"2.1 ", b"2.01 "), V1_ADDRESS),
    "v1-two-spaces": (V1.replace(b" 198", b"  198"), V1_ADDRESS),
    "v1-port": (V1.replace(b"12345", b"65536"), V1_PORT),
    "v1-no-CR": (V1.replace(b"\r", b""), V1_END),
    "v1-endless": (b"PROXY UNKNOWN " + b"x" * 94, "within 107 bytes"),
    "v1-TCP5": (V1.replace(b"TCP4", b"TCP5"), "neither TCP4 nor TCP6 nor UNKNOWN"),
    "v2-version-1": (v2(V4, 0x11), "version"),
    "v2-version-3": (v2(V4, 0x31), "version"),
    "v2-command-2": (v2(V4, 0x22), "command"),
    "v2-family-4": (v2(V4, family=0x41), "family"),
    "v2-protocol-3": (v2(V4, family=0x13), "protocol"),
    "v2-short": (v2(V4[:8]), "address"),
    "v2-TLV-beyond": (v2(V4 + b"\4\0\5x"), "TLV"),
    "v2-CRC": (v2(V4 + tlv(3, bytes.fromhex("19011fbb"))), "checksum"),
    "v2-too-long": (v2(V4 + tlv(4, bytes(4097 - 16 - 12 - 3))), "4096"),
    "missing": (b"hello\n", "it is missing"),
    "cut-off": (V1[:20], "has ended before its end"),
}


@pytest.fixture(scope="module")
def server(module_start, trigger):
    return module_start(f"--trigger={trigger}", *(f"--listen={role}+proxy:0/tcp" for role in ("echo", "raw", "discard")),
                        listening=5)


@pytest.fixture
def proxied(server, dial, host):
    return dial(server, host, port=server.port_of("tcp", role="echo+proxy"))


def whoami(client, addresses, more):
    """What /whoami has to answer on that connection."""
    peer, local = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port, *_ in
                   (client.socket.getsockname(), client.socket.getpeername()))
    return f"proto=tcp {addresses.format(peer=peer, local=local)} via={peer}{more}\n".encode()


def ended(client):
    """Waits for the end, clean or not: what has come before it."""
    with contextlib.suppress(ConnectionResetError):
        return client.rest()
    return b""


@pytest.mark.parametrize("header, addresses, more", TAKEN.values(), ids=TAKEN)
def test_whoami_tells_what_the_header_announces(proxied, header, addresses, more):
    assert proxied.ask(header + b"/whoami\n") == whoami(proxied, addresses, more)
    assert proxied.ask(V1) == V1  # a second one is a line


@pytest.mark.parametrize("header, addresses, more", [TAKEN["v1-TCP4"], TAKEN["v2-AUTHORITY-CRC"]], ids=["v1", "v2"])
def test_a_header_may_come_byte_by_byte(proxied, header, addresses, more):
    for byte in header + b"/whoami\n":
        proxied.send(bytes([byte]))
    assert proxied.line() == whoami(proxied, addresses, more)


@pytest.mark.parametrize("role, answer", [("echo", b"line\nrest"), ("raw", b"line\nrest"), ("discard", b"")])
@pytest.mark.parametrize("header", [V1, v2(V4)], ids=["v1", "v2"])
def test_a_header_is_no_input_of_the_role(server, dial, role, answer, header):
    for sent, expected in ((header + b"line\nrest", answer), (header, b"")):
        assert dial(server, port=server.port_of("tcp", role=f"{role}+proxy")).ask_all(sent) == expected


@pytest.mark.parametrize("header, reason", REFUSED.values(), ids=REFUSED)
def test_what_is_no_header_ends_the_connection(start, dial, header, reason):
    server = start("--listen=echo+proxy:0/tcp", listening=3)
    client = dial(server, port=server.port_of("tcp", role="echo+proxy"))
    port = client.port
    client.send(header)
    if reason == "has ended before its end":
        client.finish()
    assert ended(client) == b""
    record = server.await_record(msg="proxy header refused")
    assert reason in record["reason"] and record["peer"] == f"127.0.0.1:{port}"
    assert server.stats()["proxy_refused"] == 1


@pytest.mark.parametrize("close", ["close", "reset"])
def test_who_closes_before_sending_is_no_error(start, dial, close):
    """As a load balancer does that only looks whether it can connect."""
    server = start("--listen=echo+proxy:0/tcp", listening=3)
    client = dial(server, port=server.port_of("tcp", role="echo+proxy"))
    wait_until(lambda: server.stats()["connected_tcp"] == 2)
    getattr(client, close)()
    wait_until(lambda: server.stats()["connected_tcp"] == 1)
    assert server.stats()["proxy_refused"] == 0 and not server.find(msg="proxy header refused")


def test_a_header_has_five_seconds(start, dial):
    server = start("--listen=echo+proxy:0/tcp", listening=3)
    port = server.port_of("tcp", role="echo+proxy")
    silent, begun, in_time = (dial(server, port=port) for _ in range(3))
    begun.send(V1[:20])
    in_time.send(V1)
    assert ended(silent) == ended(begun) == b""
    late = {"msg": "proxy header refused", "reason": "has not come in time"}
    wait_until(lambda: len(server.find(**late)) == 2, "a line for each")
    assert in_time.ask(b"here\n") == b"here\n"
    assert server.stats()["proxy_refused"] == 2


@pytest.mark.parametrize("header", [b"PROXY TCP4 127.0.0.1 127.0.0.1 56324 12345\r\n", v2(b"", 0x20, 0)],
                         ids=["announced", "LOCAL"])
def test_nobody_is_loopback_there(start, dial, token_file, header):
    server = start("--listen=echo+proxy:0/tcp", f"--shutdown-token-file={token_file}", listening=3)
    client = dial(server, port=server.port_of("tcp", role="echo+proxy"))
    assert client.ask(header + b"/shutdown open sesame\n") == NOT_LOOPBACK


@pytest.mark.parametrize("header", [V1, v2(V4)], ids=["v1", "v2"])
def test_another_port_takes_a_header_for_text(server, dial, header):
    assert dial(server).ask_all(header) == header


def test_all_that_whoami_can_tell_fits(start, dial):
    name, authority = "n" * 255, "a" * 255
    server = start("--listen=echo+proxy:0/tcp", f"--name={name}", listening=3)
    client = dial(server, port=server.port_of("tcp", role="echo+proxy"))
    ends = b"\xfe" * 32 + b"\xff" * 4
    header = v2(ends + tlv(2, authority.encode()) + tlv(0x20, b"\1\0\0\0\0" + tlv(0x21, b"v" * 15)), family=0x21)
    answer = client.ask(header + b"/whoami\n").decode()
    assert answer.endswith(f" authority={authority} tls={'v' * 15} name={name}\n")
    assert ":".join(["fefe"] * 8) in answer
