"""A conformance suite for servers of Server-Sent Events: `python -m tests.conformance URL`. Needs only Python. See docs/conformance.md."""
