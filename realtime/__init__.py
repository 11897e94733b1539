"""The core: one event log, read by polling, SSE or WebSocket, with one cursor. Knows neither CDK nor web frameworks."""
