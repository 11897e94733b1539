"""What an authorizer's answer means."""

from typing import Any

import pytest

from .helpers import policy
from .policy import Malformed, decide

ARN = "arn:aws:execute-api:us-east-1:123456789012:abcdef1234/live/$connect"


@pytest.mark.parametrize("resource", ["*", ARN, ARN.replace("$connect", "*"), ARN.replace("us-east-1", "us-east-?")])
def test_allow_names_the_method_by_arn_or_wildcard(resource: str) -> None:
    """IAM's * and ? stand for any text and any character."""
    assert decide(policy("Allow", resource), ARN) == {"principalId": "ann"}


@pytest.mark.parametrize("resource", [ARN + "x", ARN.replace("live", "test"), ARN.replace(".", "-") + "[", "arn"])
def test_allow_of_something_else_is_a_denial(resource: str) -> None:
    """What nothing allows is denied."""
    assert decide(policy("Allow", resource), ARN) is None


def test_deny_outweighs_allow() -> None:
    """An explicit Deny wins wherever it stands."""
    both = policy("Allow")
    both["policyDocument"]["Statement"].insert(0, {"Action": ["execute-api:*"], "Effect": "Deny", "Resource": [ARN]})
    assert decide(both, ARN) is None


def test_action_is_matched_without_case_and_other_actions_count_for_nothing() -> None:
    """IAM's actions have no case; one for another service allows nothing."""
    answer = policy()
    answer["policyDocument"]["Statement"][0]["Action"] = "EXECUTE-API:invoke"
    assert decide(answer, ARN)
    answer["policyDocument"]["Statement"][0]["Action"] = "s3:*"
    assert decide(answer, ARN) is None


def test_context_comes_as_text() -> None:
    """Strings, numbers and booleans are handed on stringified, as AWS does."""
    context = {"name": "é", "n": 1, "x": 1.5, "yes": True}
    assert decide(policy(context=context), ARN) == {"name": "é", "n": "1", "x": "1.5", "yes": "true", "principalId": "ann"}


@pytest.mark.parametrize("value", [None, [], ["a"], {"a": 1}])
def test_context_of_anything_else_is_malformed(value: object) -> None:
    """Nested JSON in the context is a 500 for every client."""
    with pytest.raises(Malformed):
        decide(policy(context={"topics": value}), ARN)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "Allow",
        {},
        {"principalId": 1, "policyDocument": {}},
        {"principalId": "ann"},
        {"principalId": "ann", "policyDocument": {"Statement": ["Allow"]}},
        {"principalId": "ann", "policyDocument": {"Statement": {"Effect": "Allow", "Action": "*"}}},
        {"principalId": "ann", "policyDocument": {"Statement": {"Effect": "allow", "Action": "*", "Resource": "*"}}},
        policy(context=[1]),
    ],
)
def test_an_answer_without_the_parts_is_malformed(answer: Any) -> None:
    """principalId, policyDocument, Statement, Effect, Action and Resource are needed."""
    with pytest.raises(Malformed):
        decide(answer, ARN)


def test_result_of_more_than_8_kb_is_malformed() -> None:
    """AWS's limit for what an authorizer answers."""
    assert decide(policy(context={"topics": "x" * 7_900}), ARN)
    with pytest.raises(Malformed, match="8192"):
        decide(policy(context={"topics": "x" * 8_100}), ARN)


def test_what_is_not_evaluated_is_said() -> None:
    """A Condition is not silently taken as met."""
    answer = policy()
    answer["policyDocument"]["Statement"][0]["Condition"] = {"IpAddress": {}}
    with pytest.raises(NotImplementedError, match="Condition"):
        decide(answer, ARN)
