"""API Gateway WebSocket in one process, on a clock that the test turns; see README.md."""
