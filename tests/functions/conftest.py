"""What functions find when they start: the stack's tables, secret and variables, over moto."""

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from local.places import ROOT
from local.tables import make_access_table, make_log_table
from tests.helpers import SECRET


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tables and secret, with the environment of the stack."""
    with mock_aws():
        client = boto3.client("dynamodb")
        make_log_table(client)
        make_access_table(client)
        secret = boto3.client("secretsmanager").create_secret(Name="signing", SecretString=SECRET)["ARN"]
        variables = {"LOG_TABLE": "log", "ACCESS_TABLE": "access", "SECRET_ARN": secret, "FEATURES": str(ROOT / "features.toml")}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield
