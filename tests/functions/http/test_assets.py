"""The Lambda assets of functions/http: complete in themselves, and built for the processor that they will run on."""

import json
import os
import re
from pathlib import Path

import pytest

from local.deploy import target as this_machine
from realtime.features import load
from realtime.tokens import issue
from stacks.assets import ASSETS, Target, install, stage
from tests.endpoint import Endpoint
from tests.helpers import SECRET
from tests.lambda_runtime import function, http_event

ROOT = Path(__file__).parents[3]
CLOUD = Target("3.14", "arm64")
AARCH64 = 183  # e_machine of an ELF header


def staged(target: Target, name: str = "http") -> Path:
    install(target)
    return stage(target, name, load(ROOT / "features.toml"))[0]


@pytest.fixture
def environment(endpoint: Endpoint, request: pytest.FixtureRequest) -> dict[str, str]:
    """The variables that the stacks set, for tables on the local endpoint."""
    endpoint.tables(request.node.name)
    secret = endpoint.client("secretsmanager").create_secret(Name=request.node.name, SecretString=SECRET)
    return {
        "LOG_TABLE": f"{request.node.name}-log",
        "ACCESS_TABLE": f"{request.node.name}-access",
        "SECRET_ARN": secret["ARN"],
        "FEATURES": "features.json",
        "AWS_ENDPOINT_URL": endpoint.url,
    }


def test_functions_run_from_their_own_folder_alone(environment: dict[str, str]) -> None:
    """In a clean process, with nothing but the asset and the runtime: publish through one, read through the other, get 304."""
    asset, figures = staged(this_machine()), {"at": "1997-01-05", "orders": 1, "cds": 2, "revenue": 3.5}
    headers = {"Authorization": f"Bearer {issue(SECRET, 'job', 60, role='service')}"}
    body = json.dumps({"type": "figures", "data": figures})
    with function(asset, "functions.http.front_door.handler", environment) as front_door:
        assert front_door.invoke(http_event("POST", "/topics/metrics/events", headers=headers, body=body))["statusCode"] == 201
        ticket = json.dumps({"use": "sse", "topics": ["metrics"]})
        assert front_door.invoke(http_event("POST", "/tickets", headers=headers, body=ticket))["statusCode"] == 201
        assert front_door.invoke(http_event("POST", "/sessions", headers=headers))["cookies"][0].startswith("__Host-realtime=")
    with function(asset, "functions.http.reads.handler", environment) as reads:
        answer = reads.invoke(http_event("GET", "/topics/metrics"))
        assert json.loads(answer["body"])["data"] == figures
        again = reads.invoke(http_event("GET", "/topics/metrics", headers={"If-None-Match": answer["headers"]["etag"]}))
        assert (again["statusCode"], again["body"]) == (304, "")


def test_functions_say_nothing_of_a_token_in_their_logs(environment: dict[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    """Neither a good nor a bad token reaches the log."""
    with function(staged(this_machine()), "functions.http.front_door.handler", environment) as front_door:
        for token in (issue(SECRET, "job", 60), "nonsense-token"):
            front_door.invoke(http_event("POST", "/tickets", headers={"Authorization": f"Bearer {token}"}, body="{"))
            assert token not in "".join(capfd.readouterr())


@pytest.mark.parametrize("name", sorted(ASSETS))
def test_cloud_asset_is_built_for_lambda(name: str) -> None:
    """Every compiled file in it is for CPython 3.14 (or the stable ABI) on 64-bit ARM."""
    libraries = list(staged(CLOUD, name).rglob("*.so*"))
    assert libraries or name == "relay"  # which is Python alone
    for library in libraries:
        assert re.search(r"cpython-314-aarch64-linux-gnu|\.abi3\.", library.name), library
        assert int.from_bytes(library.read_bytes()[18:20], "little") == AARCH64, library


def test_cloud_asset_holds_only_what_runs() -> None:
    """No scripts, byte code or tests of ours, and 60 MB at most unzipped (Lambda allows 250)."""
    asset = staged(CLOUD)
    files = [file for file in asset.rglob("*") if file.is_file()]
    assert not [f for f in files if "__pycache__" in f.parts or f.suffix == ".pyc" or f.parent.name == "bin"]
    assert {p.name for p in asset.iterdir()} >= {"realtime", "services", "functions", "features.json", "schemas"}
    assert not {p.name for p in asset.iterdir()} & {"tests", "local", "stacks", "boto3", "aws_cdk"}
    assert sum(file.stat().st_size for file in files) < 60_000_000


def test_asset_hash_follows_the_sources(tmp_path: Path) -> None:
    """The same content has the same hash, whenever it was written; another features file is another asset."""
    (tmp_path / "features.toml").write_text("[features.news]\n")
    first, again = (stage(this_machine(), "http", load(ROOT / "features.toml"))[1] for _ in range(2))
    assert first == again
    assert first != stage(this_machine(), "http", load(tmp_path / "features.toml"))[1]


def test_stale_dependencies_fail_with_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Synth never installs: it says what to run."""
    from stacks import assets

    monkeypatch.setattr(assets, "BUILD", tmp_path)
    with pytest.raises(assets.AssetError, match="run make build"):
        stage(CLOUD, "http", load(ROOT / "features.toml"))


def test_what_is_stale_of_one_asset_goes_and_nothing_of_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Folders of earlier sources go after an hour. The dependencies of an asset whose name goes on after ours stay."""
    from stacks import assets

    monkeypatch.setattr(assets, "BUILD", tmp_path)
    monkeypatch.setattr(assets, "_fresh", lambda *_: True)
    stale, others = tmp_path / CLOUD.folder.name / f"sse-{'0' * 16}", tmp_path / CLOUD.folder.name / "sse-lambda.dependencies"
    for folder in (stale, others, CLOUD.folder / "sse.dependencies"):
        folder.mkdir(parents=True)
        os.utime(folder, (0, 0))
    (CLOUD.folder / "sse.requirements.txt").touch()
    stage(CLOUD, "sse", load(ROOT / "features.toml"))
    assert (stale.exists(), others.exists()) == (False, True)
