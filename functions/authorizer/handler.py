"""Who may open a WebSocket: $connect -> ticket or token, origin -> allow or deny."""

import os

from functions.authorizer.gate import Authorizer
from realtime.runtime import Runtime, origins
from realtime.websocket import Gate

runtime = Runtime.from_env()
handler = Authorizer(Gate(runtime.features, runtime.tickets, runtime.verifier, origins(os.environ)))
