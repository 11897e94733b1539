"""A template of everything that the rules look at, where nothing is wrong; and the one change that makes it wrong."""

import copy
from typing import Any

GONE = object()
"""The property is left out."""

Body = dict[str, Any]


def resource(type: str, **properties: Any) -> Body:
    return {"Type": f"AWS::{type}", "Properties": properties}


def ref(id: str) -> Body:
    return {"Ref": id}


def arn(id: str) -> Body:
    return {"Fn::GetAtt": [id, "Arn"]}


def allow(*actions: str, effect: str = "Allow") -> Body:
    return {"Effect": effect, "Action": list(actions), "Resource": "*"}


def forward(group: str) -> Body:
    return {"Type": "forward", "TargetGroupArn": ref(group)}


def awslogs(group: Any) -> list[Body]:
    """A container whose driver makes the group where it is not there."""
    return [{"LogConfiguration": {"LogDriver": "awslogs", "Options": {"awslogs-group": group, "awslogs-create-group": "true"}}}]


LOGIN = {"Type": "authenticate-oidc", "Order": 1}
TO_HTTPS = {"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "StatusCode": "HTTP_301"}}
NOT_FOUND = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
STREAM_URI = {"Fn::Sub": "arn:aws:apigateway:${AWS::Region}:lambda:path/2021-11-15/functions/${Streams.Arn}/response-streaming-invocations"}
URL_DOMAIN = {"Fn::Select": [2, {"Fn::Split": ["/", {"Fn::GetAtt": ["StreamsUrl", "FunctionUrl"]}]}]}

WEBSOCKET = {
    "Api": resource("ApiGatewayV2::Api", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action"),
    "Connect": resource("ApiGatewayV2::Route", ApiId=ref("Api"), RouteKey="$connect", AuthorizationType="CUSTOM", AuthorizerId="a"),
    "Disconnect": resource("ApiGatewayV2::Route", ApiId=ref("Api"), RouteKey="$disconnect", AuthorizationType="NONE"),
    "Deployment1f0c9a3be7": resource("ApiGatewayV2::Deployment", ApiId=ref("Api")),
    "Stage": resource(
        "ApiGatewayV2::Stage",
        ApiId=ref("Api"),
        StageName="live",
        DeploymentId=ref("Deployment1f0c9a3be7"),
        DefaultRouteSettings={"ThrottlingRateLimit": 1000, "ThrottlingBurstLimit": 2000},
    ),
}
BROADCAST = {
    "Connections": resource(
        "DynamoDB::Table",
        KeySchema=[{"AttributeName": "topic", "KeyType": "HASH"}, {"AttributeName": "connectionId", "KeyType": "RANGE"}],
        TimeToLiveSpecification={"AttributeName": "expires", "Enabled": True},
    ),
    "PusherRole": resource("IAM::Role", Policies=[{"PolicyDocument": {"Statement": allow("execute-api:ManageConnections")}}]),
    "PusherPolicy": resource("IAM::Policy", Roles=[ref("PusherRole")], PolicyDocument={"Statement": [allow("dynamodb:Query")]}),
    "PusherLogs": resource("Logs::LogGroup", RetentionInDays=30),
    "Pusher": resource("Lambda::Function", Role=arn("PusherRole"), LoggingConfig={"LogGroup": ref("PusherLogs")}),
    "Records": resource(
        "Lambda::EventSourceMapping",
        FunctionName=ref("Pusher"),
        EventSourceArn={"Fn::GetAtt": ["Connections", "StreamArn"]},
        StartingPosition="LATEST",
        MaximumRetryAttempts=3,
    ),
}
SERVICE = {
    "Balancer": resource("ElasticLoadBalancingV2::LoadBalancer", Scheme="internet-facing", Type="application"),
    "Http": resource("ElasticLoadBalancingV2::Listener", LoadBalancerArn=ref("Balancer"), Protocol="HTTP", DefaultActions=[TO_HTTPS]),
    "Https": resource("ElasticLoadBalancingV2::Listener", LoadBalancerArn=ref("Balancer"), Protocol="HTTPS", DefaultActions=[NOT_FOUND]),
    "ToHubs": resource("ElasticLoadBalancingV2::ListenerRule", ListenerArn=ref("Https"), Actions=[forward("Hubs")]),
    "ToPushers": resource("ElasticLoadBalancingV2::ListenerRule", ListenerArn=ref("Https"), Actions=[LOGIN, forward("Pushers")]),
    "Hubs": resource("ElasticLoadBalancingV2::TargetGroup", TargetType="ip"),
    "Pushers": resource("ElasticLoadBalancingV2::TargetGroup", TargetType="ip"),
    "PushTask": resource("ECS::TaskDefinition", TaskRoleArn=arn("PusherRole"), ContainerDefinitions=awslogs(ref("PusherLogs"))),
    "PushService": resource("ECS::Service", TaskDefinition=ref("PushTask"), LoadBalancers=[{"TargetGroupArn": ref("Pushers")}]),
}
STREAMS = {
    "StreamsApi": resource("ApiGateway::RestApi", EndpointConfiguration={"Types": ["REGIONAL"]}),
    "StreamsMethod": resource(
        "ApiGateway::Method", RestApiId=ref("StreamsApi"), Integration={"ResponseTransferMode": "STREAM", "Uri": STREAM_URI}
    ),
    "Streams": resource(
        "Lambda::Function",
        Environment={"Variables": {"AWS_LWA_INVOKE_MODE": "response_stream"}},
        ReservedConcurrentExecutions=50,
        LoggingConfig={"LogGroup": ref("PusherLogs")},
    ),
    "StreamsUrl": resource("Lambda::Url", TargetFunctionArn=arn("Streams"), InvokeMode="RESPONSE_STREAM", AuthType="AWS_IAM"),
    "Edge": resource(
        "CloudFront::Distribution",
        DistributionConfig={"Origins": [{"DomainName": URL_DOMAIN, "CustomOriginConfig": {"OriginReadTimeout": 60}}]},
    ),
}


def sound() -> Body:
    return {"Resources": copy.deepcopy(WEBSOCKET | BROADCAST | SERVICE | STREAMS)}


def changed(id: str, property: str, value: Any) -> Body:
    template = sound()
    properties = template["Resources"][id]["Properties"]
    properties[property] = value
    if value is GONE:
        del properties[property]
    return template


def with_more(**resources: Body) -> Body:
    template = sound()
    template["Resources"] |= resources
    return template
