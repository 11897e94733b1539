"""WebSocket: API Gateway -> connection table, event log and fan-out -> the frame that answers."""

from functions.websocket.routes import Routes
from realtime.websocket_runtime import websocket

handler = Routes(websocket())
