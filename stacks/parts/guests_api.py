"""The demo page's login, where it is switched on: an HTTP API of its own, whose throttle is the bound on tokens given out."""

from aws_cdk import Aws
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration
from constructs import Construct

from stacks.core import CoreStack
from stacks.parts.access_log import AccessLog
from stacks.parts.function import Function
from stacks.parts.nag import accept

SIGN_INS_PER_SECOND, BURST_SIGN_INS = 5, 20


class GuestsApi(apigateway.HttpApi):
    """POST /guests, for pages of the same origin only: there is no CORS."""

    def __init__(self, scope: Construct, id: str, *, core: CoreStack, asset: str) -> None:
        super().__init__(scope, id, description="Guests of the demo page", create_default_stage=False)
        self.domain = f"{self.api_id}.execute-api.{Aws.REGION}.{Aws.URL_SUFFIX}"
        apigateway.HttpStage(
            self,
            "Stage",
            http_api=self,
            auto_deploy=True,
            throttle=apigateway.ThrottleSettings(rate_limit=SIGN_INS_PER_SECOND, burst_limit=BURST_SIGN_INS),
            access_log_settings=AccessLog(self, "Logs"),
        )
        function = Function(
            self,
            "SignIn",
            config=core.config,
            asset=asset,
            handler="functions.shop.sign_in.handler",
            description="Tokens for guests of the demo page",
            environment={"SECRET_ARN": core.secret.secret_arn},
            memory_size=512,
        )
        core.secret.grant_read(function)
        integration = HttpLambdaIntegration("SignInIntegration", function)
        for route in self.add_routes(path="/guests", methods=[apigateway.HttpMethod.POST], integration=integration):
            accept(route, "APIG4", "a demonstration that is off by default: anybody may be a guest, and guests are no service")
