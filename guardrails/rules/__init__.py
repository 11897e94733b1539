"""Every rule by its id, which is its function's name."""

from collections.abc import Callable, Iterator, Mapping

from guardrails.finding import Finding
from guardrails.rules import dynamodb, load_balancer, logs, streaming, websocket
from guardrails.template import Template

Rule = Callable[[Template], Iterator[Finding]]

RULES: Mapping[str, Rule] = {
    rule.__name__.replace("_", "-"): rule
    for rule in (
        websocket.open_connect,
        websocket.stale_deployment,
        websocket.unthrottled_stage,
        load_balancer.idle_timeout,
        load_balancer.plain_http,
        load_balancer.open_push,
        streaming.edge_optimized_stream,
        streaming.unbounded_streams,
        streaming.open_stream,
        streaming.cloudfront_read_timeout,
        dynamodb.endless_retries,
        dynamodb.scan_fan_out,
        dynamodb.connections_without_ttl,
        logs.endless_logs,
    )
}
