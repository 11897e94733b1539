"""Tags by which a bill is split (Cost Explorer, once they are activated): what a stack is for, and whose features it serves."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from aws_cdk import Stack, Tags

S = TypeVar("S", bound=Stack)

PATTERN, FEATURES = "realtime:pattern", "realtime:features"
HASHED = ["AWS::ApiGateway::RestApi"]
"""A deployment of a REST API is replaced when the API's properties change, tags included: this type gets the stack's own."""

MAX_VALUE = 256
"""Characters of a tag's value (AWS General Reference); + is among those that every service takes, a comma is not."""


def tagged(stack: Callable[..., S], pattern: str, features: Iterable[str]) -> Callable[..., S]:
    """What makes the stack with its tags, on itself and on every resource in it.

    CloudFormation gives a stack's own tags to its resources, but not to all: those in the template reach every type that takes any.
    """
    tags = {PATTERN: pattern, FEATURES: joined(list(features))}

    def make(*args: object, **kwargs: object) -> S:
        made = stack(*args, tags=tags, **kwargs)
        for key, value in tags.items():
            Tags.of(made).add(key, value, exclude_resource_types=HASHED)
        return made

    return make


def joined(names: list[str]) -> str:
    """`alerts+orders`; of more names than a tag's value holds, the first ones and how many more there are."""
    whole = "+".join(names)
    if len(whole) <= MAX_VALUE:
        return whole
    shown = next(n for n in range(len(names), 0, -1) if len(_cut(names, n)) <= MAX_VALUE)
    return _cut(names, shown)


def _cut(names: list[str], shown: int) -> str:
    return "+".join([*names[:shown], f"{len(names) - shown}-more"])  # no feature's name: those begin with a letter
