"""Our service with a shorter clock: `python -m tests.conformance.service --port N --features FILE`, otherwise as `python -m services.sse`.

The times of heartbeats and rotation are constants of the hub, since nobody should configure them; here HEARTBEAT and ROTATE
(seconds; ROTATE is the earliest, the latest is twice as late) of the environment set them before the service begins. Heartbeats
that are due are looked for more often, too: a second later would be twice the time between two.
"""

import os

from realtime import hub
from services.sse.__main__ import main

hub.HEARTBEAT_SECONDS = int(os.environ.get("HEARTBEAT", hub.HEARTBEAT_SECONDS))
if rotate := os.environ.get("ROTATE"):
    hub.ROTATE_SECONDS = (float(rotate), 2 * float(rotate))
else:
    hub._TURN_SECONDS = min(hub._TURN_SECONDS, hub.HEARTBEAT_SECONDS / 10)

if __name__ == "__main__":
    main()
