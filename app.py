"""What is deployed: one line per stack. `features.toml` decides which of them exist (stacks/needs.py)."""

import sys

import aws_cdk as cdk

from guardrails.plugin import RealtimeGuardRails
from stacks.config import Config, plain_errors
from stacks.core import CoreStack
from stacks.needs import remarks, report
from stacks.network import NetworkStack
from stacks.polling import PollingStack
from stacks.pubsub import PubSubStack
from stacks.shop import ShopStack
from stacks.sse_lambda import SseLambdaStack
from stacks.sse_service import SseServiceStack
from stacks.websocket import WebSocketStack


def build(app: cdk.App, config: Config) -> None:
    core = config.when(CoreStack)(app, "CoreStack", config=config, description="Event log, tickets, sessions and publishing")
    polling = config.when(PollingStack)(app, "PollingStack", core=core, description="Reads by polling")
    websocket = config.when(WebSocketStack)(app, "WebSocketStack", core=core, description="Two-way traffic")
    network = config.when(NetworkStack)(app, "NetworkStack", description="VPC of the hubs and their cache")
    sse = config.when(SseServiceStack)(app, "SseServiceStack", core=core, network=network, description="Server-Sent Events")
    config.when(PubSubStack)(app, "PubSubStack", core=core, network=network, description="Bus of the hubs")
    streams = config.when(SseLambdaStack)(app, "SseLambdaStack", core=core, description="Streams from Lambda")
    ways = {"polling": polling, "websocket": websocket, "sse": sse, "streams": streams}
    config.demo(ShopStack)(app, "ShopStack", core=core, **ways, description="The demo page and its figures job")


if __name__ == "__main__":
    with plain_errors():
        app = cdk.App()
        config = Config.of(app)
        cdk.Validations.of(app).add_plugins(RealtimeGuardRails())
        build(app, config)
        app.synth()
        told = [*report(config.features), *(f"{level}: {remark}" for level, remark in remarks(config.features))]
        sys.stderr.write("\n".join(told) + "\n")  # the CDK prints it; stdout is for what `cdk ls` lists
