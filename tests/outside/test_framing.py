"""TCP: lines in, lines out, however the stream is cut."""

import random

import pytest

from harness import MAX_LINE, TOO_LONG

EVERY_BYTE_BUT_LF = bytes(byte for byte in range(256) if byte != 0x0A)
LONGEST = b"x" * MAX_LINE + b"\n"
OVERLONG = b"y" * (MAX_LINE + 1) + b"\n"


@pytest.fixture
def client(server, dial, host):
    return dial(server, host)


@pytest.mark.parametrize(
    "line",
    [b"hello\n", b"\n", b"\r\n", b"a\rb\r\n", EVERY_BYTE_BUT_LF + b"\n", b" /stats\n", LONGEST],
    ids=["word", "empty", "crlf", "inner-cr", "every-byte", "not-a-command", "longest"],
)
def test_a_line_comes_back_byte_for_byte(client, line):
    client.send(line)
    client.finish()
    assert client.rest() == line


def test_terminators_come_back_as_they_were(client):
    client.send(b"a\r\nb\n")
    client.finish()
    assert client.rest() == b"a\r\nb\n"


def test_nothing_is_answered_before_the_lf(client, server, dial, host):
    client.send(b"begun")
    assert dial(server, host).ask(b"another\n") == b"another\n"
    assert client.silent()
    assert client.ask(b" and ended\n") == b"begun and ended\n"


def test_a_line_may_arrive_byte_by_byte(client):
    for byte in b"slow\r":
        client.send(bytes([byte]))
    assert client.ask(b"\n") == b"slow\r\n"


def test_answers_come_in_the_order_of_the_lines(client):
    lines = [b"%d\n" % number for number in range(3000)]
    client.send(b"".join(lines))
    client.finish()
    assert client.rest() == b"".join(lines)


def test_commands_keep_their_place_among_lines(client):
    client.send(b"1\n/nonsense\n2\n/nonsense\n3\n")
    client.finish()
    assert client.rest() == b"1\nERR unknown-command\n2\nERR unknown-command\n3\n"


@pytest.mark.parametrize("seed", range(4))
def test_the_cut_into_packets_changes_nothing(client, seed):
    """Lines around the limit, none overlong twice in a row, sent in random pieces."""
    chance = random.Random(seed)
    question, answer = bytearray(), bytearray()
    for _ in range(40):
        length = chance.choice([0, 1, 7, 1000, MAX_LINE - 1, MAX_LINE])
        line = bytes(chance.choices(EVERY_BYTE_BUT_LF.replace(b"/", b""), k=length)) + b"\n"
        question += line
        answer += line
        if chance.random() < 0.3:
            question += b"z" * (MAX_LINE + chance.choice([1, 2, 5000])) + b"\n"
            answer += TOO_LONG
            question += b"between\n"
            answer += b"between\n"
    while question:
        size = chance.choice([1, 2, 100, 1460, MAX_LINE, 20000])
        client.send(question[:size])
        del question[:size]
    client.finish()
    assert client.rest() == answer


# End of input


def test_the_end_of_input_ends_the_answers(client):
    client.finish()
    assert client.rest() == b""


@pytest.mark.parametrize("last", [b"rest", b"rest\r", b"x" * MAX_LINE])
def test_an_unterminated_last_line_is_echoed_without_an_lf(client, last):
    client.send(b"whole\n" + last)
    client.finish()
    assert client.rest() == b"whole\n" + last


def test_an_unterminated_last_line_may_have_come_in_pieces(client):
    assert client.ask(b"whole\nre") == b"whole\n"
    client.send(b"st")
    client.finish()
    assert client.rest() == b"rest"


def test_an_unterminated_last_command_is_answered_with_a_line(client):
    client.send(b"/nonsense")
    client.finish()
    assert client.rest() == b"ERR unknown-command\n"


# Overlong lines


def test_one_byte_too_many_is_answered_before_the_line_ends(client):
    client.send(b"x" * MAX_LINE)
    assert client.ask(b"x") == TOO_LONG


def test_the_rest_of_an_overlong_line_is_discarded(client):
    assert client.ask(OVERLONG.rstrip()) == TOO_LONG
    assert client.ask(b"still it\nnext\n") == b"next\n"


def test_an_overlong_line_of_a_megabyte_is_answered_once(client):
    client.send(b"x" * 1_000_000)
    assert client.ask(b"\nnext\n") == TOO_LONG
    assert client.line() == b"next\n"


def test_a_cr_counts_as_part_of_the_line(client):
    client.send(b"x" * MAX_LINE + b"\r\nnext\n")
    client.finish()
    assert client.rest() == TOO_LONG + b"next\n"


def test_an_overlong_line_keeps_its_place_among_lines(client):
    client.send(b"before\n" + OVERLONG + b"after\n")
    client.finish()
    assert client.rest() == b"before\n" + TOO_LONG + b"after\n"


def test_a_command_can_be_overlong(client):
    assert client.ask(b"/" + OVERLONG) == TOO_LONG


def test_the_second_overlong_line_in_a_row_ends_the_connection(client):
    client.send(OVERLONG + OVERLONG)
    assert client.rest() == TOO_LONG + TOO_LONG


def test_the_end_after_two_overlong_lines_reaches_a_client_that_goes_on_sending(client):
    client.send(OVERLONG + OVERLONG + b"more\n" * 6000)
    assert client.rest() == TOO_LONG + TOO_LONG


def test_the_second_error_comes_before_the_second_line_ends(client):
    client.send(OVERLONG + OVERLONG.rstrip())
    assert client.rest() == TOO_LONG + TOO_LONG


def test_a_good_line_between_overlong_ones_resets_the_count(client):
    for _ in range(3):
        assert client.ask(OVERLONG) == TOO_LONG
        assert client.ask(b"good\n") == b"good\n"


def test_an_overlong_last_line_is_answered_once(client):
    client.send(OVERLONG.rstrip())
    client.finish()
    assert client.rest() == TOO_LONG


@pytest.mark.parametrize("limit", [1, 10, 1 << 20])
def test_max_line_sets_the_limit(start, trigger, dial, host, limit):
    client = dial(start(f"--trigger={trigger}", f"--max-line={limit}"), host)
    longest = b"x" * limit + b"\n"
    client.send(longest)
    assert client.line() == longest
    client.send(b"x" + longest + longest)
    assert client.line() == TOO_LONG
    assert client.line() == longest
