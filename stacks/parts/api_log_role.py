"""What lets API Gateway write access logs of REST and WebSocket APIs: on a fresh account it may not."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_apigateway as rest
from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.parts.nag import accept

_POLICY = "service-role/AmazonAPIGatewayPushToCloudWatchLogs"


def api_log_role(scope: Construct) -> rest.CfnAccount:
    """One role for the account and region, whichever stack sets it last. It stays when the stack goes: other APIs may use it."""
    role = iam.Role(scope, "ApiLogRole", assumed_by=iam.ServicePrincipal("apigateway.amazonaws.com"))
    role.add_managed_policy(iam.ManagedPolicy.from_aws_managed_policy_name(_POLICY))
    role.apply_removal_policy(RemovalPolicy.RETAIN)
    accept(role, f"IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{_POLICY}]", "what API Gateway asks for: it writes logs of any API")
    account = rest.CfnAccount(scope, "ApiAccount", cloud_watch_role_arn=role.role_arn)
    account.apply_removal_policy(RemovalPolicy.RETAIN)
    return account
