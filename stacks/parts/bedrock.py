"""Which of Bedrock's models a function may ask: the one that it is told of, and by streaming alone."""

import re
from typing import cast

from aws_cdk import Stack
from aws_cdk import aws_iam as iam

from stacks.parts.function import Function
from stacks.parts.nag import accept

ACTION = "bedrock:InvokeModelWithResponseStream"
"""What ConverseStream is allowed by."""

_GEOGRAPHY = re.compile(r"(global|apac|[a-z]{2}(-gov)?)\.")  # how ids of inference profiles begin; no maker of models has two letters


def grant_model(function: Function, model: str) -> None:
    """Allow the model of this region; or the inference profile, and through it the model in whatever region it chooses."""
    stack = Stack.of(function)
    geography = _GEOGRAPHY.match(model)
    if not geography:
        plain = stack.format_arn(service="bedrock", account="", resource="foundation-model", resource_name=model)
        function.add_to_role_policy(iam.PolicyStatement(actions=[ACTION], resources=[plain]))
        return
    name = model[geography.end() :]
    profile = stack.format_arn(service="bedrock", resource="inference-profile", resource_name=model)
    anywhere = stack.format_arn(service="bedrock", region="*", account="", resource="foundation-model", resource_name=name)
    through = {"StringEquals": {"bedrock:InferenceProfileArn": profile}}
    function.add_to_role_policy(iam.PolicyStatement(actions=[ACTION], resources=[profile]))
    function.add_to_role_policy(iam.PolicyStatement(actions=[ACTION], resources=[anywhere], conditions=through))
    rule = f"IAM5[Resource::arn:<AWS::Partition>:bedrock:*::foundation-model/{name}]"
    accept(cast("iam.Role", function.role), rule, "the profile chooses the region")
