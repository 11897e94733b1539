"""AWS::Serverless::Function as the resources that SAM makes of it, as far as rules look at them.

Other AWS::Serverless types are left as they are: `aws cloudformation get-template --template-stage Processed` has what SAM made of them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from guardrails.values import mapping

FUNCTION = "AWS::Serverless::Function"
STREAMS = ("DynamoDB", "Kinesis")
SCANNING = ("DynamoDBCrudPolicy", "DynamoDBReadPolicy")
"""The policy templates of SAM that allow dynamodb:Scan (samtranslator, policy_templates.json)."""


def expanded(body: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The template's resources, by logical id."""
    common = mapping(mapping(body.get("Globals")).get("Function"))
    resources = {name: resource for name, resource in mapping(body.get("Resources")).items() if isinstance(resource, Mapping)}
    for name, resource in list(resources.items()):
        if resource.get("Type") == FUNCTION:
            made = _function(name, _merged(common, mapping(resource.get("Properties"))))
            resources.update({key: {**part, "Metadata": resource.get("Metadata", {})} for key, part in made})
    return resources


def _function(id: str, own: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    role = own.get("Role", {"Fn::GetAtt": [f"{id}Role", "Arn"]})
    yield id, {"Type": "AWS::Lambda::Function", "Properties": {**own, "Role": role}}
    if "Role" not in own:
        yield f"{id}Role", _role(own.get("Policies", []))
    if url := mapping(own.get("FunctionUrlConfig")):
        yield f"{id}Url", {"Type": "AWS::Lambda::Url", "Properties": {**url, "TargetFunctionArn": {"Ref": id}}}
    for name, event in mapping(own.get("Events")).items():
        if mapping(event).get("Type") in STREAMS:
            properties = {**mapping(event.get("Properties")), "FunctionName": {"Ref": id}}
            yield f"{id}{name}", {"Type": "AWS::Lambda::EventSourceMapping", "Properties": properties}


def _role(policies: Any) -> Mapping[str, Any]:
    named: list[Any] = []
    inline = []
    for policy in policies if isinstance(policies, list) else [policies]:
        if isinstance(policy, dict) and "Statement" in policy:
            inline.append({"PolicyDocument": policy})
        elif isinstance(policy, dict) and not policy.keys().isdisjoint(SCANNING):
            inline.append({"PolicyDocument": {"Statement": {"Effect": "Allow", "Action": "dynamodb:Scan", "Resource": "*"}}})
        else:
            named.append(policy)
    return {"Type": "AWS::IAM::Role", "Properties": {"Policies": inline, "ManagedPolicyArns": named}}


def _merged(common: Any, own: Any) -> Any:
    """SAM's rule: maps are merged, lists are joined, and of anything else the function's own counts."""
    if isinstance(common, dict) and isinstance(own, dict):
        return {**common, **{key: _merged(common.get(key), value) for key, value in own.items()}}
    return common + own if isinstance(common, list) and isinstance(own, list) else own
