"""CoreStack: the log's table, the front door, and no more rights than they need."""

from tests.stacks.conftest import Templates, actions, of_type


def test_log_table_is_what_the_log_needs(templates: Templates) -> None:
    """Keys, TTL on `expires`, a stream of new images, on-demand, point-in-time recovery."""
    table = next(t for t in of_type(templates["CoreStack"], "AWS::DynamoDB::GlobalTable") if "StreamSpecification" in t)
    assert [k["AttributeName"] for k in table["KeySchema"]] == ["topic", "entry"]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}
    assert table["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["Replicas"][0]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_functions_are_python_314_on_arm(templates: Templates) -> None:
    """Runtime, processor, bounded time, JSON logs into a group of their own."""
    for stack in ("CoreStack", "PollingStack"):
        (function,) = of_type(templates[stack], "AWS::Lambda::Function")
        assert (function["Runtime"], function["Architectures"], function["Timeout"]) == ("python3.14", ["arm64"], 15)
        assert function["LoggingConfig"]["LogFormat"] == "JSON"
        assert "LogGroup" in function["LoggingConfig"]


def test_logs_are_kept_for_a_month(templates: Templates) -> None:
    """No log group is kept for ever."""
    groups = [group for t in templates.values() for group in of_type(t, "AWS::Logs::LogGroup")]
    assert len(groups) == 14
    assert {group["RetentionInDays"] for group in groups} == {30}


def test_browsers_may_read_the_etag(templates: Templates) -> None:
    """CORS exposes what a poller needs; without ETag no browser can poll."""
    (api,) = of_type(templates["CoreStack"], "AWS::ApiGatewayV2::Api")
    assert {"ETag", "Last-Modified", "Poll-After", "Retry-After"} <= set(api["CorsConfiguration"]["ExposeHeaders"])
    assert {"if-none-match", "authorization", "idempotency-key"} <= set(api["CorsConfiguration"]["AllowHeaders"])


def test_stage_is_throttled_and_logged_without_query_or_headers(templates: Templates) -> None:
    """Tickets travel in queries and tokens in headers: neither is in the access log."""
    (stage,) = of_type(templates["CoreStack"], "AWS::ApiGatewayV2::Stage")
    assert stage["DefaultRouteSettings"] == {"ThrottlingBurstLimit": 2000, "ThrottlingRateLimit": 1000}
    logged = stage["AccessLogSettings"]["Format"]
    assert not [word for word in ("queryString", "header", "authorizer", "requestOverride") if word in logged]


def test_front_door_may_do_what_it_does_and_no_more(templates: Templates) -> None:
    """Least privilege: no wildcard action, no Scan, no delete."""
    assert actions(templates["CoreStack"]) == {
        "dynamodb:BatchWriteItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:UpdateItem",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "secretsmanager:DescribeSecret",
        "secretsmanager:GetSecretValue",
    }


def test_outputs_say_what_they_are(templates: Templates) -> None:
    """Whatever a person is shown after a deploy has a description."""
    for template in templates.values():
        shown = {name: o for name, o in template.get("Outputs", {}).items() if "Export" not in o}
        assert shown
        assert all(o.get("Description") for o in shown.values())
