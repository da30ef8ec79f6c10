"""/shutdown: who may, with what, and what everybody else is told."""

import signal

import pytest

from harness.lines import GOODBYE, NOT_ALLOWED, NOT_LOOPBACK, THROTTLED, TOKEN_INVALID, TOKEN_MISSING, TOKEN_REQUIRED
from harness.wait import wait_until

PADDING = b" " * 100


def write_token(path, content, mode=0o600):
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.fixture
def guarded(start, token_file):
    return start(f"--shutdown-token-file={token_file}")


@pytest.fixture(scope="module")
def unarmed(module_start):
    return module_start()


def assert_shuts_down(server, client, token=b"open sesame"):
    client.send(b"/shutdown " + token + b"\n")
    assert client.rest() == GOODBYE
    server.ended()


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_the_right_token_ends_the_server_gracefully(start, token_file, trigger, dial, host, end):
    server = start(f"--shutdown-token-file={token_file}", f"--trigger={trigger}")
    client, bystander = dial(server, host), dial(server, host)
    bystander.ask(b"here\n")
    client.send(b"before\n/shutdown open sesame" + end)
    assert client.rest() == b"before\n" + GOODBYE
    assert bystander.rest() == b""
    server.ended()


def test_the_token_may_be_a_credential(start, tmp_path, dial):
    write_token(tmp_path / "shutdown-token", b"of systemd\n", 0o440)
    server = start(environment={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert_shuts_down(server, dial(server), b"of systemd")


def test_none_given_is_required_and_without_one_configured_every_one_is_missing(unarmed, guarded, dial, host):
    for server in (unarmed, guarded):
        client = dial(server, host)
        for question in (b"/shutdown\n", b"/shutdown\r\n", b"/shutdown \n") * 3:
            assert client.ask(question) == TOKEN_REQUIRED
    client = dial(unarmed, host)
    for _ in range(7):
        assert client.ask(b"/shutdown guess\n") == TOKEN_MISSING
    assert client.ask(b"echo\n") == b"echo\n"


def test_after_five_wrong_guesses_from_anywhere_not_even_the_right_one_is_examined(guarded, dial):
    for host in ("127.0.0.1", "::1", "127.0.0.1", "127.0.0.9", "::1"):
        assert dial(guarded, host).ask(b"/shutdown wrong\n") == TOKEN_INVALID
    for host in ("127.0.0.1", "::1"):
        assert dial(guarded, host).ask(b"/shutdown wrong\n") == THROTTLED
        assert dial(guarded, host).ask(b"/shutdown open sesame\n") == THROTTLED
    assert dial(guarded).ask(b"/shutdown\n") == TOKEN_REQUIRED
    assert dial(guarded).ask(b"echo\n") == b"echo\n"


def test_the_right_token_from_elsewhere_stops_nothing_and_is_no_wrong_guess(guarded, dial, host, elsewhere):
    client = dial(guarded, elsewhere[host])
    for _ in range(7):
        assert client.ask(b"/shutdown open sesame\n") == NOT_LOOPBACK
    assert client.ask(b"/shutdown\n") == TOKEN_REQUIRED
    assert client.ask(b"echo\n") == b"echo\n"
    client.close()
    assert_shuts_down(guarded, dial(guarded, host))


def test_over_udp_it_is_never_allowed_and_throttles_nobody(guarded, unarmed, dial, peer, host):
    for server in (guarded, unarmed):
        udp = peer(server, host)
        for argument in (b"", b" wrong", b" open sesame") * 7:
            assert udp.ask(b"/shutdown" + argument + PADDING) == NOT_ALLOWED
        assert udp.ask(b"echo") == b"echo"
    assert_shuts_down(guarded, dial(guarded))


def test_neither_token_nor_guesses_reach_the_log(start, token_file, dial, peer):
    server = start(f"--shutdown-token-file={token_file}", "-vv")
    client = dial(server)
    for guess in (b"xyzzy1", b"xyzzy2", b"open sesame3"):
        client.ask(b"/shutdown " + guess + b"\n")
    peer(server).ask(b"/shutdown xyzzy4" + PADDING)
    assert_shuts_down(server, client)
    assert "sesame" not in server.log_text() and "xyzzy" not in server.log_text()


def test_the_token_is_not_taken_from_another_variable(start, dial):
    names = ("SHUTDOWN_TOKEN", "EPOLL_ECHO_SHUTDOWN_TOKEN", "EPOLL_ECHO_TOKEN", "shutdown-token")
    server = start(environment=dict.fromkeys(names, "open sesame"))
    assert dial(server).ask(b"/shutdown open sesame\n") == TOKEN_MISSING


# SIGHUP reads the file again


def warnings(server):
    return len(server.find(level="warning")) + len(server.find(level="error"))


def test_sighup_takes_a_new_token(guarded, token_file, dial):
    write_token(token_file, b"new one\n")
    guarded.deliver(signal.SIGHUP)
    client = dial(guarded)
    assert client.ask(b"/shutdown open sesame\n") == TOKEN_INVALID
    assert_shuts_down(guarded, client, b"new one")


def test_sighup_says_whether_it_has_read_a_token(guarded, unarmed):
    for server, message in ((guarded, "token read again"), (unarmed, "there is no token to be read")):
        server.signal(signal.SIGHUP)
        server.await_record(msg=message)
    assert not unarmed.find(msg="token read again")


@pytest.mark.parametrize("content, mode", [(None, 0), (b"", 0o600), (b"new\n", 0o644)],
                         ids=["absent", "empty", "readable by others"])
def test_a_bad_new_token_keeps_the_old_one_and_warns(guarded, token_file, dial, content, mode):
    token_file.unlink()
    if content is not None:
        write_token(token_file, content, mode)
    before = warnings(guarded)
    guarded.deliver(signal.SIGHUP)
    wait_until(lambda: warnings(guarded) > before, "a warning")
    assert str(token_file) in guarded.log_text()
    assert_shuts_down(guarded, dial(guarded))
