"""The whole app: snapshots, rules of others (cdk-nag, cfn-lint, CloudFormation's), and what the context may say."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from cdk_nag import AwsSolutionsChecks
from syrupy.assertion import SnapshotAssertion

from guardrails.plugin import RealtimeGuardRails
from stacks.config import Config, ConfigError
from stacks.needs import remarks
from tests.stacks.conftest import OTHER, ROOT, Templates, synthesize

HASH = re.compile(r"[0-9a-f]{64}")
POLLING = ROOT / "features.toml"
STACKS = [f"{name}Stack" for name in ("Core", "Network", "Polling", "PubSub", "Shop", "SseLambda", "SseService", "WebSocket")]
SHOWN = {"shop_guests": "on", "lambda_endpoint": "function-url"}


def masked(template: dict[str, Any]) -> str:
    return HASH.sub("<hash>", json.dumps(template, indent=1, sort_keys=True))


@pytest.mark.parametrize("stack", STACKS)
def test_template_is_as_reviewed(templates: Templates, stack: str, snapshot: SnapshotAssertion) -> None:
    """A change of the template is seen in the review; hashes of assets are masked, so an edit of code is not one."""
    assert masked(templates[stack]) == snapshot


@pytest.mark.parametrize("stack", ["PubSubStack", "SseLambdaStack", "SseServiceStack"])
def test_other_template_is_as_reviewed(certified: Templates, stack: str, snapshot: SnapshotAssertion) -> None:
    """The same with every other choice."""
    assert masked(certified[stack]) == snapshot


@pytest.mark.parametrize("context", [{}, OTHER, SHOWN], ids=("", "other", "shown"))
def test_nag_and_cloudformation_find_nothing_unexplained(tmp_path: Path, context: dict[str, str]) -> None:
    """cdk-nag's AWS Solutions rules, our guard rails, CDK's own validation: each finding is mended or has its reason beside it."""
    synthesize(tmp_path, POLLING, validate=True, plugins=(AwsSolutionsChecks(), RealtimeGuardRails()), **context)


def test_cfn_lint_is_clean(templates: Templates, certified: Templates, tmp_path: Path) -> None:
    """cfn-lint over every template. W3005 is about the DependsOn that CDK itself writes beside a reference."""
    for variant, made in (("", templates), ("certified", certified)):
        for name, template in made.items():
            (tmp_path / f"{variant}-{name}.json").write_text(json.dumps(template))
    command: list[str | Path] = [Path(sys.executable).with_name("cfn-lint"), *sorted(tmp_path.glob("*.json")), "--ignore-checks", "W3005"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_shared_outputs_do_not_depend_on_the_features(templates: Templates, private: Templates, tmp_path: Path) -> None:
    """CoreStack exports the same for every features file, so that a change of pattern never meets "export in use"."""
    (tmp_path / "features.toml").write_text('[features.metrics]\npattern = "polling"\n')
    without = synthesize(tmp_path / "cdk", tmp_path / "features.toml")
    assert set(without) == {"CoreStack", "PollingStack", "ShopStack"}
    assert without["CoreStack"]["Outputs"] == templates["CoreStack"]["Outputs"] == private["CoreStack"]["Outputs"]


def test_shared_outputs_do_not_depend_on_other_choices(templates: Templates, certified: Templates, private: Templates) -> None:
    """Nor does what NetworkStack exports: a cache or a certificate can come and go."""
    outputs = [made["NetworkStack"]["Outputs"] for made in (templates, certified, private)]
    assert all(other == outputs[0] for other in outputs)
    assert certified["CoreStack"]["Outputs"] == templates["CoreStack"]["Outputs"]


def test_synth_is_deterministic(templates: Templates, tmp_path: Path) -> None:
    """The same sources give the same templates, asset hashes included."""
    assert synthesize(tmp_path, POLLING) == templates


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("realtime:lambda-architecture", "sparc", "sparc is not known; write arm64 or x86_64"),
        ("realtime:lambda-python", 3.14, "must be a text"),
        ("realtime:oidc-issuer", "https://issuer", "realtime:oidc-audience: is needed"),
        ("realtime:posts-per-second", "many", "many is not a whole number from 100 up"),
        ("realtime:posts-per-second", "99", "99 is not a whole number from 100 up"),
        ("realtime:api-log-role", "none", "none is not known; write create or existing"),
        ("realtime:cache", "big", "big is not known; write serverless or node"),
        ("realtime:certificate", "shop.example", "shop.example is not the ARN of a certificate in ACM"),
        ("realtime:lambda-endpoint", "edge", "edge-optimized APIs cut a stream after 30 s of silence: write regional"),
        ("realtime:lambda-endpoint", "alb", "alb is not known; write regional or function-url"),
        ("realtime:web-adapter", "latest", "latest is neither a version of the public layer"),
        ("realtime:reserved-concurrency", "0", "0 is not a whole number from 1 up"),
        ("realtime:model", "a model", "a model is not a model's id"),
        ("realtime:shop", "yes", "yes is not known; write off or on"),
        ("realtime:shop-guests", "yes", "yes is not known; write off or on"),
    ],
)
def test_wrong_context_is_told(key: str, value: object, told: str) -> None:
    """A context key that cannot be right is one sentence, not a deploy that fails."""
    with pytest.raises(ConfigError, match=told):
        Config.of(cdk.App(context={key: value, "features": str(POLLING)}))


def test_issuer_must_be_https() -> None:
    """Keys that came over plain HTTP could be anybody's."""
    context = {"realtime:oidc-issuer": "http://i", "realtime:oidc-audience": "a", "realtime:oidc-jwks": "https://i/keys"}
    with pytest.raises(ConfigError, match="https"):
        Config.of(cdk.App(context={**context, "features": str(POLLING)}))


def test_issuer_reaches_the_functions(tmp_path: Path) -> None:
    """With an OpenID Connect issuer in the context, functions verify its tokens."""
    oidc: dict[str, Any] = {"oidc_issuer": "https://i", "oidc_audience": "a", "oidc_jwks": "https://i/keys"}
    made = synthesize(tmp_path, POLLING, **oidc)["CoreStack"]["Resources"]
    variables = next(r["Properties"]["Environment"]["Variables"] for r in made.values() if r["Type"] == "AWS::Lambda::Function")
    assert (variables["OIDC_ISSUER"], variables["OIDC_AUDIENCE"], variables["OIDC_JWKS_URL"]) == ("https://i", "a", "https://i/keys")


def test_wrong_features_file_fails_the_synth(tmp_path: Path) -> None:
    """What cannot work is refused before anything is deployed: with its sentence, and neither a traceback nor templates."""
    file = tmp_path / "features.toml"
    file.write_text('[features.a]\npattern = "polling"\ndirection = "both"\n')
    environment = os.environ | {"CDK_CONTEXT_JSON": json.dumps({"features": str(file)}), "CDK_OUTDIR": str(tmp_path / "cdk.out")}
    done = subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    told = 'polling goes one way: write pattern = "websocket" (or "fallback"), or direction = "down"'
    assert (done.returncode, done.stderr) == (1, f"error: {file}:3: features.a.direction: {told}\n")
    assert not list(tmp_path.rglob("*.template.json"))


def test_what_no_deployment_can_bear_fails_the_synth(tmp_path: Path) -> None:
    """By the advisor's rules, with the cure; `realtime:rules=warn` lets it pass, where a quota was raised."""
    file = tmp_path / "features.toml"
    file.write_text('[features.ticker]\npattern = "sse"\nlatency = "1s"\nevents = "60/s"\n')
    with pytest.raises(ConfigError, match=r"features\.ticker: 60 events a second in one topic.*: publish up to 25 events in one append"):
        Config.of(cdk.App(context={"features": str(file)}))
    config = Config.of(cdk.App(context={"features": str(file), "realtime:rules": "warn"}))
    assert [level for level, _ in remarks(config.features)] == ["error"]
