"""The rate that is kept."""

from hypothesis import given
from hypothesis import strategies as st

from bench.fanout_endpoint import peak
from realtime.bucket import Bucket


@given(st.integers(1, 300), st.lists(st.floats(0, 0.3), max_size=200))
def test_no_second_has_more_than_the_rate(rate: int, pauses: list[float]) -> None:
    """Whenever one asks, and however much one wants."""
    bucket, now, taken = Bucket(rate), 1000.0, list[float]()
    for pause in pauses:
        now += pause
        while bucket.ready(now):
            bucket.take()
            taken.append(now)
    assert peak(taken) <= rate


def test_rate_is_used() -> None:
    """Who asks all the time gets 97 % of it."""
    bucket, taken = Bucket(500), 0
    for tick in range(5000):
        if bucket.ready(tick / 1000):
            bucket.take()
            taken += 1
    assert taken >= 5 * 0.97 * 500 - 1
