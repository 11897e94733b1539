"""What is deployed: one line per stack. `features.toml` decides which of them exist."""

import aws_cdk as cdk

from stacks.config import Config, plain_errors
from stacks.core import CoreStack
from stacks.polling import PollingStack
from stacks.websocket import WebSocketStack

with plain_errors():
    app = cdk.App()
    config = Config.of(app)

    core = CoreStack(app, "CoreStack", config=config, description="Event log, tickets, sessions and publishing")
    polling = config.when(PollingStack, "polling", "fallback")(app, "PollingStack", core=core, description="Reads by polling")
    websocket = config.when(WebSocketStack, "websocket", "fallback")(app, "WebSocketStack", core=core, description="Two-way traffic")

    app.synth()
