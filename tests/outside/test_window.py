"""What is over after half a minute or one, by default; it runs beside the other tests."""

from harness.lines import THROTTLED, TOKEN_INVALID

COARSE = 1.0  # seconds: the daemon may count its windows in whole ones


def test_wrong_guesses_are_refused_until_the_minute_is_over(minute):
    assert minute.guesses == [TOKEN_INVALID] * 5
    *refused, first = minute.wait(lambda sample: sample.guess != THROTTLED)
    assert first.guess == TOKEN_INVALID
    assert first.answered >= 60 - COARSE
    assert len(refused) > 10


def test_a_udp_peer_is_active_for_a_minute_after_its_last_datagram(minute):
    *active, first = minute.wait(lambda sample: sample.peers != 2)
    assert first.peers == 1
    assert first.answered >= 60 - COARSE
    assert len(active) > 10


def test_a_udp_peer_that_goes_on_stays_active(minute):
    samples = minute.wait(lambda sample: sample.asked > 63)
    assert all(sample.peers >= 1 for sample in samples)


def test_a_begun_line_has_half_a_minute_by_default(minute):
    *_, first = minute.wait(lambda sample: not sample.begun_is_open)
    assert 30 - COARSE <= first.answered < 60


def test_an_idle_connection_is_not_closed_by_default(minute):
    samples = minute.wait(lambda sample: sample.asked > 63)
    assert all(sample.idle_is_open for sample in samples)
