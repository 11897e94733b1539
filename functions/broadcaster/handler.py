"""Fan-out: the log's stream, or the fan-out queue -> subscribers of the topic -> @connections."""

import os
from pathlib import Path

from functions.broadcaster.records import Broadcaster
from realtime.features import load
from realtime.websocket_runtime import fanout

broadcaster = Broadcaster(load(Path(os.environ["FEATURES"])), fanout())
stream, queue = broadcaster.stream, broadcaster.queue
