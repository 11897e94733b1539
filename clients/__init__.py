"""Clients of a deployment: one subscription, whatever the transport. This one is for backends and tests; browsers have realtime.js."""

from clients.network import Refused
from clients.order import Event
from clients.realtime import Client, Subscription, connect
from clients.topic import Reset, Status

__all__ = ["Client", "Event", "Refused", "Reset", "Status", "Subscription", "connect"]
