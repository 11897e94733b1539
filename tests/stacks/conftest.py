"""The app, synthesized once for all tests of the stacks."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from app import build
from stacks.assets import Target, install
from stacks.config import Config

ROOT = Path(__file__).parents[2]
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/5f1c0a52-3b7e-4c8e-9d58-3c2f5a4f7e11"
OTHER: dict[str, Any] = {
    "cache": "node",
    "certificate": CERTIFICATE,
    "shop": "off",
    "lambda_endpoint": "function-url",
    "reserved_concurrency": "50",
    "model": "us.amazon.nova-micro-v1:0",
}
Templates = dict[str, dict[str, Any]]


def made(folder: Path, features: Path, *, validate: bool = False, **context: Any) -> cdk.App:
    """The app as app.py builds it, for a features file and context keys (with _ for -, after realtime:)."""
    install(Target("3.14", "arm64"))
    keys = json.loads((ROOT / "cdk.json").read_text())["context"] | {"features": str(features)}
    keys |= {f"realtime:{key.replace('_', '-')}": value for key, value in context.items()}
    keys["aws:cdk:disable-asset-staging"] = True  # else each synth copies 160 MB; the templates, hashes included, are the same
    app = cdk.App(context=keys, outdir=str(folder), builtin_cloud_formation_validation=validate)
    build(app, Config.of(app))
    return app


def synthesize(folder: Path, features: Path, *, plugins: tuple[Any, ...] = (), **chosen: Any) -> Templates:
    """Templates by stack."""
    app = made(folder, features, **chosen)
    if plugins:
        cdk.Validations.of(app).add_plugins(*plugins)
    app.synth()
    return {file.name.removesuffix(".template.json"): json.loads(file.read_text()) for file in sorted(folder.glob("*.template.json"))}


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    return synthesize(tmp_path_factory.mktemp("cdk"), ROOT / "features.toml")


@pytest.fixture(scope="session")
def private(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """The features of the tests: public and private ones, with rooms and owners."""
    folder = tmp_path_factory.mktemp("features")
    (folder / "features.toml").write_text((ROOT / "tests/features.toml").read_text())
    (folder / "chat.json").write_text('{"message": true}')
    return synthesize(tmp_path_factory.mktemp("cdk"), folder / "features.toml", origins="https://shop.example,https://admin.example")


@pytest.fixture(scope="session")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """Every other choice: a certificate, and so a public load balancer; the node-based cache; a Function URL, and a profile of a model."""
    return synthesize(tmp_path_factory.mktemp("cdk"), ROOT / "features.toml", **OTHER)


def of_type(template: Mapping[str, Any], type: str) -> list[dict[str, Any]]:
    """The properties of every resource of a type."""
    return [resource["Properties"] for resource in template["Resources"].values() if resource["Type"] == type]


def only(template: Mapping[str, Any], type: str) -> dict[str, Any]:
    """The properties of the one resource of a type."""
    (found,) = of_type(template, f"AWS::{type}")
    return found


def actions(template: Mapping[str, Any]) -> set[str]:
    """Every action that a policy of the template allows."""
    documents = [policy["PolicyDocument"] for policy in of_type(template, "AWS::IAM::Policy")]
    allowed = [s["Action"] for document in documents for s in document["Statement"] if s["Effect"] == "Allow"]
    return {action for entry in allowed for action in ([entry] if isinstance(entry, str) else entry)}
