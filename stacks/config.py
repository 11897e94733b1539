"""What a deployment can choose: the features file and a few context keys of cdk.json (or `-c key=value`)."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from aws_cdk import Stack
from constructs import Construct, Node

from functions.shop.day import FIGURES
from realtime.features import Feature, Features, FeaturesError, load
from stacks.assets import AssetError
from stacks.needs import NEEDS, remarks, served
from stacks.tags import tagged

S = TypeVar("S", bound=Stack)


class ConfigError(Exception):
    """A context key is wrong; the message says which, and what to write."""


@dataclass(frozen=True, slots=True)
class Config:
    """`origins`: web origins that may use the APIs. `oidc`: the OIDC_* variables of functions, empty for the stack's own secret.

    `posts_per_second`: this deployment's share of the 10,000 requests a second that API Gateway gives an account and
    region, @connections included. `make_log_role`: whether to give API Gateway the account-wide role to write logs.
    `cache`: PubSubStack's, serverless or node-based. `certificate`: ARN of one in ACM, for a public load balancer instead of
    CloudFront; empty for none. `lambda_endpoint`: the way to the streaming function, regional or function-url.
    `web_adapter`: version of the public layer that streams for it, or the ARN of another. `reserved_concurrency`: how many
    streams and answers it may have open; None: as many as the account has left. `model`: who writes answers, by its id.
    `shop`: whether the demo is deployed. `shop_guests`: whether its page gives tokens to whoever asks.
    """

    features: Features
    python: str
    architecture: str
    wheels: str
    origins: tuple[str, ...]
    oidc: dict[str, str]
    posts_per_second: int
    make_log_role: bool
    cache: str
    certificate: str
    lambda_endpoint: str
    web_adapter: str
    reserved_concurrency: int | None
    model: str
    shop: bool
    shop_guests: bool

    @classmethod
    def of(cls, scope: Construct) -> "Config":
        """Read and check the context."""
        node = scope.node
        features = load(Path(_text(node, "features", "features.toml")))
        features.check_schemas()
        if _one_of(node, "realtime:rules", ("refuse", "warn")) == "refuse":
            _refuse(features)
        oidc, certificate = _oidc(node), _certificate(node)
        return cls(
            features=features,
            python=_text(node, "realtime:lambda-python", "3.14"),
            architecture=_one_of(node, "realtime:lambda-architecture", ("arm64", "x86_64")),
            wheels=_one_of(node, "realtime:lambda-wheels", ("linux", "native")),
            origins=tuple(o.strip() for o in _text(node, "realtime:origins", "*").split(",") if o.strip()),
            oidc=oidc,
            posts_per_second=_number(node, "realtime:posts-per-second", 5_000, least=100),
            make_log_role=_one_of(node, "realtime:api-log-role", ("create", "existing")) == "create",
            cache=_one_of(node, "realtime:cache", ("serverless", "node")),
            certificate=certificate,
            lambda_endpoint=_endpoint(node),
            web_adapter=_adapter(node),
            reserved_concurrency=_concurrency(node),
            model=_model(node),
            shop=_shop(node, features, certificate),
            shop_guests=_shop_guests(node, oidc),
        )

    def served(self, stack: str) -> dict[str, Feature]:
        """The features that need the stack of that name."""
        return served(self.features, stack)

    def when(self, stack: type[S]) -> Callable[..., S | None]:
        """What makes the stack, and tags it, if a feature needs it (stacks/needs.py); else what makes nothing.

        So a stack may be handed one that is None: by then it is not made either, which types cannot say.
        """
        features = self.served(stack.__name__)
        return tagged(stack, NEEDS[stack.__name__].tag, features) if features else _nothing

    def demo(self, stack: type[S]) -> Callable[..., S | None]:
        """The same for the shop, which shows every feature, if it is wanted."""
        return tagged(stack, "shop", self.features) if self.shop else _nothing


def _nothing(*_: object, **__: object) -> None:
    """What makes no stack."""


@contextmanager
def plain_errors() -> Iterator[None]:
    """End the synth with the sentence of a mistake in the configuration, without a traceback."""
    try:
        yield
    except (ConfigError, FeaturesError, AssetError) as error:
        sys.exit(f"error: {error}")


def _refuse(features: Features) -> None:
    """What the advisor's rules say cannot work, though each key may be as it is."""
    if wrong := [told for level, told in remarks(features) if level == "error"]:
        raise ConfigError("\n".join([*wrong, "where a quota was raised, -c realtime:rules=warn lets it pass"]))


def _text(node: Node, key: str, default: str) -> str:
    value = node.try_get_context(key)
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"context {key}: must be a text, as in -c {key}={default or 'value'}")
    return value or default


def _one_of(node: Node, key: str, known: tuple[str, ...]) -> str:
    value = _text(node, key, known[0])
    if value not in known:
        raise ConfigError(f"context {key}: {value} is not known; write {' or '.join(known)}")
    return value


def _number(node: Node, key: str, default: int, *, least: int) -> int:
    value = _text(node, key, str(default))
    if not value.isascii() or not value.isdigit() or int(value) < least:
        raise ConfigError(f"context {key}: {value} is not a whole number from {least} up, as in -c {key}={default}")
    return int(value)


def _matching(node: Node, key: str, default: str, form: str, told: str) -> str:
    """The text, which has that form where there is any; `told` says what it is not."""
    value = _text(node, key, default)
    if value and not re.fullmatch(form, value):
        raise ConfigError(f"context {key}: {value} {told}")
    return value


def _certificate(node: Node) -> str:
    told = "is not the ARN of a certificate in ACM: arn:aws:acm:...:certificate/..."
    return _matching(node, "realtime:certificate", "", r"arn:[\w-]+:acm:[\w-]+:\d{12}:certificate/[\w-]+", told)


def _endpoint(node: Node) -> str:
    if _text(node, "realtime:lambda-endpoint", "") == "edge":
        raise ConfigError("context realtime:lambda-endpoint: edge-optimized APIs cut a stream after 30 s of silence: write regional")
    return _one_of(node, "realtime:lambda-endpoint", ("regional", "function-url"))


def _adapter(node: Node) -> str:
    told = "is neither a version of the public layer, as in 30, nor arn:...:layer:name:30"
    return _matching(node, "realtime:web-adapter", "30", r"[1-9][0-9]*|arn:[\w-]+:lambda:[\w-]+:\d{12}:layer:[\w-]+:\d+", told)


def _concurrency(node: Node) -> int | None:
    """Off by default: an account keeps 100 unreserved, and a new one has 10 in all, so a deploy that reserves would fail."""
    key = "realtime:reserved-concurrency"
    return _number(node, key, 100, least=1) if _text(node, key, "") else None


def _model(node: Node) -> str:
    told = "is not a model's id; write one of Bedrock, as in amazon.nova-micro-v1:0, or ngram"
    return _matching(node, "realtime:model", "amazon.nova-micro-v1:0", r"ngram|[a-z0-9-]+(\.[A-Za-z0-9:_-]+)+", told)


def _shop(node: Node, features: Features, certificate: str) -> bool:
    """The demo is about the figures of its job: a features file without them has no shop."""
    wanted = _one_of(node, "realtime:shop", ("off", "on")) == "on" and FIGURES in features
    if wanted and certificate:
        raise ConfigError("context realtime:certificate: the shop's one domain needs the internal load balancer: write realtime:shop=off")
    return wanted


def _shop_guests(node: Node, oidc: dict[str, str]) -> bool:
    on = _one_of(node, "realtime:shop-guests", ("off", "on")) == "on"
    if on and oidc:
        raise ConfigError(
            "context realtime:shop-guests: guests' tokens are of the stack's own secret, and the issuer's are taken: write off"
        )
    return on


def _oidc(node: Node) -> dict[str, str]:
    keys = {
        "OIDC_ISSUER": "realtime:oidc-issuer",
        "OIDC_AUDIENCE": "realtime:oidc-audience",
        "OIDC_JWKS_URL": "realtime:oidc-jwks",
    }
    found = {name: _text(node, key, "") for name, key in keys.items()}
    missing = [keys[name] for name, value in found.items() if not value]
    if len(missing) == len(keys):
        return {}
    if missing:
        raise ConfigError(f"context {missing[0]}: is needed with the other realtime:oidc-* keys")
    if not all(found[name].startswith("https://") for name in ("OIDC_ISSUER", "OIDC_JWKS_URL")):
        raise ConfigError("context realtime:oidc-issuer and realtime:oidc-jwks: must begin with https://")
    return found
