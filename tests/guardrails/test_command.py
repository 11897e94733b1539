"""python -m guardrails: for templates that no app of Python makes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guardrails.sound import changed, sound
from tests.guardrails.test_samples import SAMPLES

WITHOUT_CDK = "import sys; sys.modules.update(aws_cdk=None, jsii=None); import runpy; runpy.run_module('guardrails', run_name='__main__')"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """In an interpreter that has no CDK."""
    command = [sys.executable, "-c", WITHOUT_CDK, *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=Path(__file__).parents[2])


def test_finding_is_a_sentence_and_exit_code_1() -> None:
    """For people, and for CI."""
    done = run(SAMPLES / "fargate-service-cdk.json")
    assert done.returncode == 1
    assert "fargate-service-cdk ServiceLBPublicListener46709EAA (Bonjour/Service/LB/PublicListener/Resource): plain-http: " in done.stdout
    assert done.stdout.endswith("findings: 2, templates: 1\n")


def test_json_has_every_part_of_a_finding() -> None:
    """One object for each."""
    found = json.loads(run(SAMPLES / "stream-consumer-sam.json", "--json").stdout)
    assert [(f["rule"], f["stack"], f["logical_id"], f["property"]) for f in found] == [
        ("endless-retries", "stream-consumer-sam", "ConsumerStream", "Properties.MaximumRetryAttempts"),
        ("endless-logs", "stream-consumer-sam", "Consumer", "Properties.LoggingConfig"),
    ]
    assert all(f["breaks"] and f["fix"] and f["path"] is None for f in found)


def test_folder_of_templates_is_read(tmp_path: Path) -> None:
    """Those of its folders, too; and --heartbeat counts for all of them."""
    (tmp_path / "deep").mkdir()
    for name in ("One", "deep/Two"):
        (tmp_path / f"{name}.template.json").write_text(json.dumps(sound()))
    assert run(tmp_path).stdout == "findings: 0, templates: 2\n"
    assert run(tmp_path, "--heartbeat", "30").stdout.endswith("findings: 4, templates: 2\n")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("Resources: {}", "is not JSON: convert it first"),
        ("[]", "is not a template"),
        ('{"Resources": []}', "is not a template"),
        ('{"name": "chat", "version": "1.0.0"}', "is not a template"),
        (None, "No such file or directory"),
    ],
)
def test_file_that_is_no_template_is_told(tmp_path: Path, content: str | None, told: str) -> None:
    """In a sentence, and exit code 2: it is not a finding."""
    file = tmp_path / "template.yaml"
    if content:
        file.write_text(content)
    done = run(file)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{file}: {told}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("content", ["{}", '{"Parameters": {}, "Rules": {}}', '{"Globals": null, "Resources": {}}'])
def test_template_of_nothing_is_one(tmp_path: Path, content: str) -> None:
    """As the CDK writes an empty stack."""
    file = tmp_path / "template.json"
    file.write_text(content)
    assert run(file).stdout == "findings: 0, templates: 1\n"


@pytest.mark.parametrize("seconds", ["nan", "inf", "0", "-5"])
def test_heartbeat_that_is_none_is_told(seconds: str) -> None:
    """In a sentence, and exit code 2: it would switch rules off."""
    done = run(SAMPLES / "fargate-service-cdk.json", f"--heartbeat={seconds}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"the heartbeat is {seconds} s: give a finite number of seconds above 0\n"


def test_empty_folder_is_told(tmp_path: Path) -> None:
    """Nothing found must not look like nothing wrong."""
    assert run(tmp_path).stderr == f"{tmp_path}: no .template.json in it: run cdk synth first, or name a template\n"


def test_file_of_an_earlier_synth_does_not_count(tmp_path: Path) -> None:
    """cdk.out keeps templates of stacks that are gone; its manifest has those that are there."""
    (tmp_path / "Old.template.json").write_text(json.dumps(changed("Connect", "AuthorizationType", "NONE")))
    (tmp_path / "New.template.json").write_text(json.dumps(sound()))
    stack = {"type": "aws:cloudformation:stack", "properties": {"templateFile": "New.template.json"}}
    (tmp_path / "manifest.json").write_text(json.dumps({"artifacts": {"New": stack}}))
    assert run(tmp_path).stdout == "findings: 0, templates: 1\n"
