"""Fixtures that many tests share: a clock to turn by hand, both stores, a runtime in memory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import boto3
import pytest
from hypothesis import settings
from moto import mock_aws
from moto.dynamodb.models import DynamoDBBackend

from local.endpoint import running
from local.tables import make_log_table
from realtime.features import Features, load
from realtime.log import Log, Store
from realtime.memory import MemoryStore
from tests.endpoint import Endpoint
from tests.helpers import Clock
from tests.world import World, websocket_features

for name in [name for name in os.environ if name.startswith("AWS_") and name != "AWS_CA_BUNDLE"]:
    del os.environ[name]
os.environ.update(  # whatever this machine has configured: no test may reach a real account
    AWS_ACCESS_KEY_ID="test",
    AWS_SECRET_ACCESS_KEY="test",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION="20",
)
settings.register_profile("tests", deadline=None)  # whether a property holds does not depend on how busy the machine is
settings.load_profile("tests")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "dynamo"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Each store in turn: what holds for one must hold for the other."""
    if request.param == "memory":
        yield MemoryStore()
        return
    from realtime.dynamo import DynamoStore

    with mock_aws(), one_write_at_a_time():
        client = boto3.client("dynamodb", region_name="us-east-1")
        make_log_table(client)
        yield DynamoStore(client, "log")


@contextmanager
def one_write_at_a_time() -> Iterator[None]:
    """As DynamoDB promises for an item, and as moto does not: a thread may write between another's condition and its write."""
    put, lock = DynamoDBBackend.put_item, Lock()

    def locked(*args: Any, **kwargs: Any) -> Any:
        with lock:
            return put(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DynamoDBBackend, "put_item", locked)
        yield


@pytest.fixture
def log(store: Store, clock: Clock) -> Log:
    return Log(store, clock=clock, sleep=clock.sleep)


@pytest.fixture
def features(tmp_path: Path) -> Features:
    """One feature of each kind of access."""
    file = tmp_path / "features.toml"
    file.write_text((Path(__file__).parent / "features.toml").read_text())
    (tmp_path / "chat.json").write_text('{"message": {"type": "object", "required": ["text"]}, "any": true}')
    return load(file)


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """One MiniStack for all tests that ask for it; each makes tables of its own."""
    with running(tmp_path_factory.mktemp("endpoint")) as places:
        yield Endpoint(places)


@pytest.fixture
def world(tmp_path: Path, clock: Clock) -> World:
    """The WebSocket pattern over memory."""
    return World(websocket_features(tmp_path), clock)
