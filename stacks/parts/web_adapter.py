"""Lambda Web Adapter: a layer that starts an HTTP server, gives it each invocation as a request, and streams its answer.

Lambda's Python cannot stream a response by itself. The layer's wrapper executes the function's handler, which is a file.
"""

from aws_cdk import Aws
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stacks.config import Config

ENVIRONMENT = {
    "AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap",
    "AWS_LWA_INVOKE_MODE": "response_stream",
    "AWS_LWA_READINESS_CHECK_PATH": "/healthz",
    "PORT": "8080",
}

_PUBLISHER = "753240598075"  # AWS's own account for it
_NAMES = {"arm64": "LambdaAdapterLayerArm64", "x86_64": "LambdaAdapterLayerX86"}


def web_adapter(scope: Construct, id: str, config: Config) -> lambda_.ILayerVersion:
    """The public layer of that version, for the function's processor and region; or the layer whose ARN the context gives."""
    public = f"arn:{Aws.PARTITION}:lambda:{Aws.REGION}:{_PUBLISHER}:layer:{_NAMES[config.architecture]}:{config.web_adapter}"
    return lambda_.LayerVersion.from_layer_version_arn(scope, id, public if config.web_adapter.isdigit() else config.web_adapter)
