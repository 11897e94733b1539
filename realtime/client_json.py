"""client.json: what a client knows of a deployment, made from the features and the URLs that the stacks put out."""

from collections.abc import Mapping

from realtime.features import Feature


def described(
    features: Mapping[str, Feature],
    *,
    http: str,
    websocket: str | None = None,
    service: str | None = None,
    function: str | None = None,
    ticket: bool = False,
) -> dict[str, object]:
    """The content of client.json. None is a transport that is not deployed; "" is the page's own origin.

    `service` and `function` are the base URLs of the SSE service and of the streaming Lambda; with `ticket`, the latter
    is reached without headers, so that a ticket must carry the caller's rights. URLs may be CDK tokens: none is looked into.
    """
    streams: dict[str, object] = {}
    if service is not None:
        streams["service"] = {"url": service}
    if function is not None:
        streams["lambda"] = {"url": function, "ticket": ticket}
    known: dict[str, object] = {"http": http}
    if websocket is not None:
        known["websocket"] = websocket
    if streams:
        known["sse"] = streams
    return known | {"features": {name: _of(feature) for name, feature in features.items()}}


def _of(feature: Feature) -> dict[str, object]:
    known: dict[str, object] = {"pattern": feature.pattern, "public": feature.public, "keep": feature.keep}
    if feature.pattern in ("sse", "fallback"):
        known["host"] = feature.host
    if feature.pattern in ("polling", "fallback"):
        known["interval"] = feature.interval_seconds
    return known
