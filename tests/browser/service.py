"""`python -m tests.browser.service`: as tests.conformance.service, and clients come back after 0.2 to 0.6 s instead of 2 to 6 s."""

import tests.conformance.service  # noqa: F401 - shortens the clock
from services.sse import stream
from services.sse.__main__ import main

stream.RETRY_MS = (200, 600)

if __name__ == "__main__":
    main()
