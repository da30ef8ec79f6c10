"""/shutdown: who may, with what, and what everybody else is told."""

import os
import signal

import pytest

from harness import wait_until

PADDING = b" " * 100
REQUIRED = b"ERR shutdown-token-required\n"
MISSING = b"ERR shutdown-token-missing\n"
INVALID = b"ERR shutdown-token-invalid\n"
NOT_LOOPBACK = b"ERR shutdown-loopback-required\n"
THROTTLED = b"ERR shutdown-throttled\n"
GOODBYE = b"OK, shutting down\n"


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


def credentials(directory):
    return {**os.environ, "CREDENTIALS_DIRECTORY": str(directory)}


def assert_shuts_down(server, client, token=b"open sesame"):
    client.send(b"/shutdown " + token + b"\n")
    assert client.rest() == GOODBYE
    server.ended()


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_the_right_token_ends_the_server_gracefully(start, token_file, trigger, dial, host, end):
    server = start(f"--shutdown-token-file={token_file}", f"--trigger={trigger}")
    client, bystander = dial(server, host), dial(server, host)
    bystander.ask(b"here\n")
    client.send(b"/shutdown open sesame" + end)
    assert client.rest() == GOODBYE
    assert bystander.rest() == b""
    server.ended()


def test_what_was_asked_before_is_answered_before(guarded, dial):
    client = dial(guarded)
    client.send(b"before\n/shutdown open sesame\n")
    assert client.rest() == b"before\n" + GOODBYE
    guarded.ended()


def test_the_command_may_be_an_unterminated_last_line(guarded, dial):
    client = dial(guarded)
    client.send(b"/shutdown open sesame")
    client.finish()
    assert client.rest() == GOODBYE
    guarded.ended()


def test_any_loopback_address_will_do(guarded, dial):
    assert_shuts_down(guarded, dial(guarded, source="127.5.6.7"))


def test_the_token_may_be_a_credential(start, tmp_path, dial):
    write_token(tmp_path / "shutdown-token", b"of systemd\n", 0o440)
    server = start(env=credentials(tmp_path))
    assert_shuts_down(server, dial(server), b"of systemd")


@pytest.mark.parametrize("content", [b"open sesame", b"open sesame\n"])
def test_one_trailing_newline_of_the_file_does_not_count(start, tmp_path, dial, content):
    server = start(f"--shutdown-token-file={write_token(tmp_path / 't', content)}")
    assert_shuts_down(server, dial(server))


def test_a_second_trailing_newline_belongs_to_the_token(start, tmp_path, dial):
    double = write_token(tmp_path / "t", b"sesame\n\n")
    try:
        server = start(f"--shutdown-token-file={double}")
    except AssertionError as refusal:  # nobody could ever send such a token
        assert str(double) in str(refusal)
    else:
        assert dial(server).ask(b"/shutdown sesame\n") == INVALID


def test_without_a_token_configured_every_one_is_missing(unarmed, dial, host):
    client = dial(unarmed, host)
    for _ in range(7):
        assert client.ask(b"/shutdown guess\n") == MISSING
    assert client.ask(b"echo\n") == b"echo\n"


def test_none_given_is_required_whether_one_is_configured_or_not(unarmed, guarded, dial, host):
    for server in (unarmed, guarded):
        client = dial(server, host)
        for question in (b"/shutdown\n", b"/shutdown\r\n", b"/shutdown \n") * 3:
            assert client.ask(question) == REQUIRED
        assert client.ask(b"echo\n") == b"echo\n"


def test_a_wrong_token_is_invalid(guarded, dial, host):
    client = dial(guarded, host)
    for guess in (b"open", b"open sesam", b"open sesame2", b"Open sesame", b"open sesame\0"):
        assert client.ask(b"/shutdown " + guess + b"\n") == INVALID
    assert client.ask(b"echo\n") == b"echo\n"


def test_after_five_wrong_guesses_from_anywhere_not_even_the_right_one_is_examined(guarded, dial):
    for host in ("127.0.0.1", "::1", "127.0.0.1", "127.0.0.9", "::1"):
        assert dial(guarded, host).ask(b"/shutdown wrong\n") == INVALID
    for host in ("127.0.0.1", "::1"):
        assert dial(guarded, host).ask(b"/shutdown wrong\n") == THROTTLED
        assert dial(guarded, host).ask(b"/shutdown open sesame\n") == THROTTLED
    assert dial(guarded).ask(b"/shutdown\n") == REQUIRED
    assert dial(guarded).ask(b"echo\n") == b"echo\n"


def test_the_right_token_from_elsewhere_stops_nothing(guarded, dial, host, elsewhere):
    client = dial(guarded, elsewhere[host])
    assert client.ask(b"/shutdown open sesame\n") == NOT_LOOPBACK
    assert client.ask(b"echo\n") == b"echo\n"
    assert client.ask(b"/shutdown\n") == REQUIRED


def test_wrong_guesses_from_elsewhere_count(guarded, dial, host, elsewhere):
    client = dial(guarded, elsewhere[host])
    for _ in range(5):
        assert client.ask(b"/shutdown wrong\n") == INVALID
    assert client.ask(b"/shutdown open sesame\n") == THROTTLED
    assert dial(guarded).ask(b"/shutdown open sesame\n") == THROTTLED


def test_the_right_token_from_elsewhere_is_no_wrong_guess(guarded, dial, host, elsewhere):
    client = dial(guarded, elsewhere[host])
    for _ in range(7):
        assert client.ask(b"/shutdown open sesame\n") == NOT_LOOPBACK
    client.close()
    assert_shuts_down(guarded, dial(guarded, host))


def test_over_udp_it_is_never_allowed(guarded, unarmed, peer, host):
    for server in (guarded, unarmed):
        udp = peer(server, host)
        for argument in (b"", b" wrong", b" open sesame") * 3:
            assert udp.ask(b"/shutdown" + argument + PADDING) == b"ERR shutdown-not-allowed\n"
        assert udp.ask(b"echo") == b"echo"


def test_guesses_over_udp_do_not_throttle(guarded, dial, peer):
    udp = peer(guarded)
    for _ in range(7):
        udp.ask(b"/shutdown wrong" + PADDING)
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
    server = start(env={**os.environ, **{name: "open sesame" for name in names}})
    assert dial(server).ask(b"/shutdown open sesame\n") == MISSING


# SIGHUP reads the file again


def warnings(server):
    return len(server.find(level="warning")) + len(server.find(level="error"))


def test_sighup_takes_a_new_token(guarded, token_file, dial):
    write_token(token_file, b"new one\n")
    guarded.deliver(signal.SIGHUP)
    client = dial(guarded)
    assert client.ask(b"/shutdown open sesame\n") == INVALID
    assert_shuts_down(guarded, client, b"new one")


@pytest.mark.parametrize("fault", ["absent", "empty", "readable by others"])
def test_a_bad_new_token_keeps_the_old_one_and_warns(guarded, token_file, dial, fault):
    token_file.unlink()
    if fault != "absent":
        empty = fault == "empty"
        write_token(token_file, b"" if empty else b"new\n", 0o600 if empty else 0o644)
    before = warnings(guarded)
    guarded.deliver(signal.SIGHUP)
    wait_until(lambda: warnings(guarded) > before, "a warning")
    assert str(token_file) in guarded.log_text()
    assert_shuts_down(guarded, dial(guarded))
