"""The asset of the shop's functions in clean processes: complete in itself, its data file included."""

import json
from pathlib import Path

from functions.shop.day import FIGURES, publications
from local.deploy import target as this_machine
from realtime.cursor import START
from realtime.dynamo import DynamoStore
from realtime.features import load
from realtime.log import Log
from realtime.tokens import SecretVerifier
from stacks.assets import install, stage
from tests.endpoint import Endpoint
from tests.helpers import SECRET
from tests.lambda_runtime import function, http_event

ROOT = Path(__file__).parents[3]


def test_shop_runs_from_its_own_folder_alone(endpoint: Endpoint) -> None:
    """Nothing but the asset and the runtime: the figures of a minute are in the log, and a guest has a token of the deployment."""
    install(this_machine())
    features = load(ROOT / "features.toml")
    asset, name = stage(this_machine(), "shop", features)[0], "shop-asset"
    endpoint.tables(name)
    secret = endpoint.client("secretsmanager").create_secret(Name=name, SecretString=SECRET)["ARN"]
    common = {"FEATURES": "features.json", "AWS_ENDPOINT_URL": endpoint.url}
    tables = {"LOG_TABLE": f"{name}-log", "ACCESS_TABLE": f"{name}-access"}
    with function(asset, "functions.shop.handler.handler", common | tables) as job:
        assert job.invoke({"time": "1970-01-01T00:03:00Z"}) is None
    log = Log(DynamoStore(endpoint.client("dynamodb"), tables["LOG_TABLE"]))
    assert log.read(features.topic(FIGURES), START).events[0].data == publications(3)[0].data
    with function(asset, "functions.shop.sign_in.handler", common | {"SECRET_ARN": secret}) as sign_in:
        answer = sign_in.invoke(http_event("POST", "/guests", body='{"name": "Ann"}'))
    assert SecretVerifier(lambda: SECRET).verify(json.loads(answer["body"])["token"]).claims["name"] == "Ann"
