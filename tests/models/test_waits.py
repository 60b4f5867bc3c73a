from __future__ import annotations

import pytest

from biddable.models.waits import MAX_WAIT_S, asked_wait, retry_after


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("1.5", 1.5),
        ("86400", MAX_WAIT_S),
        ("9" * 400, MAX_WAIT_S),
        ("Fri, 31 Dec 2199 23:59:59 GMT", MAX_WAIT_S),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
        ("Fri, 31 Dec 1999 23:59:59 -0000", 0.0),
        ("Fri, 31 Dec 999999999999 23:59:59 GMT", 0.0),
        ("-5", 0.0),
        ("nan", 0.0),
        ("soon", 0.0),
        ("", 0.0),
    ],
)
def test_retry_after_is_capped_and_never_trusted(header, seconds):
    assert retry_after(header) == seconds


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached for requests per min. Please try again in 20s.", 20),
        ("Rate limit reached for tokens. Please try again in 1.5s. Visit https://h/1", 1.5),
        ("Please try again in 1m0.5s.", MAX_WAIT_S),
        ("try again in 30s", 30),
        ("Try again in 0m7.66s", 7.66),
        ("Please try again in 734ms.", 0.734),
        ("Please retry after 20 seconds.", 20),
        ("Please wait 1 minute and 30 seconds before you go on", MAX_WAIT_S),
        ('{"retryDelay": "34s"}', 34),
        ("Please retry in 12.5s.", 12.5),
        ("try again in 2 hours", MAX_WAIT_S),
        ("Rate limit: 60 requests in 20s. Try again later.", 0),
        ("try again", 0),
        ("", 0),
    ],
)
def test_a_wait_that_is_only_told_in_words_is_kept(message, seconds):
    assert asked_wait({}, message) == pytest.approx(seconds)


def test_headers_go_before_words():
    assert asked_wait({"retry-after-ms": "1500", "Retry-After": "2"}, "try again in 20s") == 1.5
    assert asked_wait({"Retry-After": "2"}, "try again in 20s") == 2
    assert asked_wait({"retry-after-ms": "soon"}, "try again in 20s") == 20
