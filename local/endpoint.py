"""The AWS endpoint of this machine: MiniStack, in an environment of its own, with what it drops from templates put back."""

import http.client
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from local.places import REGION, ROOT, LocalError, Places
from local.process import Child, free_port, stop
from stacks.assets import AssetError, lock_digest, uv

ENVIRONMENT = ROOT / ".local" / "ministack"
PYTHON = ENVIRONMENT / "bin" / "python"

_KNOWN_TYPES = """
import json
from ministack.services.cloudformation.provisioners import _RESOURCE_HANDLERS
print(json.dumps(sorted(_RESOURCE_HANDLERS)))
"""


def install() -> None:
    """Make MiniStack's environment what uv.lock says; half a second when it already is."""
    where = {"UV_PROJECT_ENVIRONMENT": str(ENVIRONMENT), "UV_COMPILE_BYTECODE": "1"}
    try:
        uv("sync", "--frozen", "--only-group", "ministack", "--python", sys.executable, **where)
    except AssetError as error:
        raise LocalError(f"MiniStack could not be installed: {error}") from None


def start(places: Places) -> Child:
    """Start it with a clean environment: its functions inherit all of it."""
    scratch = places.folder / "tmp"
    shutil.rmtree(scratch, ignore_errors=True)  # it leaves the code of functions behind
    scratch.mkdir(parents=True)
    environment = {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(places.endpoint_port),
        "AWS_ENDPOINT_URL": places.endpoint,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
    }
    return Child.start("ministack", [str(PYTHON), "-m", "ministack"], environment, places.log("ministack"), places.folder)


def ready(places: Places) -> bool:
    """Whether it answers."""
    connection = http.client.HTTPConnection("127.0.0.1", places.endpoint_port, timeout=1)
    try:
        connection.request("GET", "/_ministack/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


@contextmanager
def running(folder: Path) -> Iterator[Places]:
    """One of its own on a free port, for tests and benches; ended with the block."""
    places = Places(folder, free_port(), free_port())
    install()
    child = start(places)
    try:
        child.wait_until(lambda: ready(places))
        yield places
    finally:
        stop([child.process])


def known_types() -> frozenset[str]:
    """The resource types that it can create; asked once per uv.lock."""
    cache = ENVIRONMENT / f"known-types-{lock_digest()[:16]}.json"
    if not cache.exists():
        done = subprocess.run([PYTHON, "-c", _KNOWN_TYPES], check=True, capture_output=True, text=True)
        cache.write_text(done.stdout)
    return frozenset(json.loads(cache.read_text()))


def put_back(places: Places, assembly: Path) -> None:
    """Apply what AWS would have applied and MiniStack 1.5 does not: CORS of HTTP APIs, TTL of tables, host names of WebSocket APIs."""
    for stack, logical_id, resource in _resources(assembly):
        properties = resource["Properties"]
        if resource["Type"] == "AWS::ApiGatewayV2::Api" and "CorsConfiguration" in properties:
            client(places, "apigatewayv2").update_api(
                ApiId=_physical_id(places, stack, logical_id), CorsConfiguration=properties["CorsConfiguration"]
            )
        if resource["Type"] == "AWS::Lambda::Function" and "WEBSOCKET_ENDPOINT" in properties["Environment"]["Variables"]:
            _point_here(places, _physical_id(places, stack, logical_id))
        if ttl := properties.get("TimeToLiveSpecification"):
            _enable_ttl(places, _physical_id(places, stack, logical_id), ttl["AttributeName"])


def delete_others(places: Places, stacks: set[str]) -> None:
    """Delete the stacks that are not wanted any more, which `cdk deploy` leaves alone; those that need others first."""
    formation = client(places, "cloudformation")
    found = [stack for stack in formation.describe_stacks()["Stacks"] if stack["StackName"] not in {*stacks, "CDKToolkit"}]
    for stack in sorted(found, key=lambda stack: stack["CreationTime"], reverse=True):
        if stack["StackStatus"] != "DELETE_COMPLETE":
            formation.delete_stack(StackName=stack["StackName"])
            formation.get_waiter("stack_delete_complete").wait(StackName=stack["StackName"], WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def execute_api(places: Places, api: str, stage: str = "$default", scheme: str = "http") -> str:
    """The URL of a deployed API for any client: <id>.execute-api.localhost does not resolve everywhere."""
    return f"{scheme}://localhost:{places.endpoint_port}/_aws/execute-api/{api}/{stage}"


def _point_here(places: Places, function: str) -> None:
    """Give a function that posts to connections the endpoint's URL: https://<id>.execute-api.<region>... is AWS's own."""
    functions = client(places, "lambda")
    variables = functions.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    host, _, stage = variables["WEBSOCKET_ENDPOINT"].removeprefix("https://").partition("/")
    if host.endswith("amazonaws.com"):
        here = variables | {"WEBSOCKET_ENDPOINT": execute_api(places, host.split(".")[0], stage)}
        functions.update_function_configuration(FunctionName=function, Environment={"Variables": here})


def _enable_ttl(places: Places, table: str, attribute: str) -> None:
    dynamodb = client(places, "dynamodb")
    if dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]["TimeToLiveStatus"] != "ENABLED":
        dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": attribute})


def _resources(assembly: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for template in sorted(assembly.glob("*.template.json")):
        for logical_id, resource in json.loads(template.read_text())["Resources"].items():
            if "Properties" in resource:
                yield template.name.removesuffix(".template.json"), logical_id, resource


def _physical_id(places: Places, stack: str, logical_id: str) -> str:
    answer = client(places, "cloudformation").describe_stack_resource(StackName=stack, LogicalResourceId=logical_id)
    found: str = answer["StackResourceDetail"]["PhysicalResourceId"]
    return found


def client(places: Places, service: str) -> Any:
    """A boto3 client for it."""
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=places.endpoint,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - the endpoint of this machine
    )
