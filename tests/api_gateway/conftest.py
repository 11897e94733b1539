"""Fixtures of the gateway's own tests."""

import pytest

from .clock import VirtualClock


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()
