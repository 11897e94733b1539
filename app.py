"""What is deployed: one line per stack. `features.toml` decides which of them exist."""

import aws_cdk as cdk

from stacks.config import Config, plain_errors
from stacks.core import CoreStack
from stacks.network import NetworkStack
from stacks.polling import PollingStack
from stacks.pubsub import PubSubStack
from stacks.shop import ShopStack
from stacks.sse_lambda import SseLambdaStack
from stacks.sse_service import SseServiceStack
from stacks.websocket import WebSocketStack

with plain_errors():
    app = cdk.App()
    config = Config.of(app)

    core = CoreStack(app, "CoreStack", config=config, description="Event log, tickets, sessions and publishing")
    polling = config.when(PollingStack, "polling", "fallback")(app, "PollingStack", core=core, description="Reads by polling")
    websocket = config.when(WebSocketStack, "websocket", "fallback")(app, "WebSocketStack", core=core, description="Two-way traffic")
    network = config.when(NetworkStack, "sse", "fallback", host="service")(
        app, "NetworkStack", description="VPC of the hubs and their cache"
    )
    hubs = {"core": core, "network": network}
    sse = config.when(SseServiceStack, "sse", "fallback", host="service")(app, "SseServiceStack", **hubs, description="Server-Sent Events")
    pubsub = config.when(PubSubStack, "sse", "fallback", host="service")(app, "PubSubStack", **hubs, description="Bus of the hubs")
    streams = config.when(SseLambdaStack, "sse", "fallback", host="lambda")(
        app, "SseLambdaStack", core=core, description="Streams from Lambda"
    )
    ways = {"polling": polling, "websocket": websocket, "sse": sse, "streams": streams}
    shop = config.demo(ShopStack)(app, "ShopStack", core=core, **ways, description="The demo page and its figures job")

    app.synth()
