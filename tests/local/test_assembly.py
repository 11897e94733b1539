"""What is left out of a template for the local endpoint: unknown types, and what cannot stand without them."""

import json
from pathlib import Path
from typing import Any

import pytest

from local.assembly import LeftOut, leave_out, localize

KNOWN = frozenset({"AWS::S3::Bucket", "AWS::Lambda::Function"})
BUCKET = {"Type": "AWS::S3::Bucket", "Properties": {}}
CACHE = {"Type": "AWS::ElastiCache::ServerlessCache", "Properties": {}}


def function(**properties: Any) -> dict[str, Any]:
    return {"Type": "AWS::Lambda::Function", "Properties": properties}


def test_known_template_stays_as_it_is() -> None:
    """Nothing is left out where everything is known."""
    template = {"Resources": {"B": BUCKET, "C": {"Type": "Custom::Thing", "Properties": {}}}, "Outputs": {}}
    assert leave_out(template, KNOWN) == (template, [])


def test_unknown_type_is_left_out_with_its_outputs() -> None:
    """The resource goes, and so does an output that tells of it."""
    template = {"Resources": {"B": BUCKET, "C": CACHE}, "Outputs": {"Url": {"Value": {"Ref": "C"}}, "Name": {"Value": {"Ref": "B"}}}}
    kept, gone = leave_out(template, KNOWN)
    assert (set(kept["Resources"]), set(kept["Outputs"])) == ({"B"}, {"Name"})
    assert gone == [("C", "AWS::ElastiCache::ServerlessCache", "the local endpoint does not know this type")]


def test_holder_of_a_reference_goes_too_however_it_refers() -> None:
    """Ref, GetAtt in both forms, Sub in both forms, and references to those that went for that reason."""
    references: list[Any] = [
        {"Ref": "C"},
        {"Fn::GetAtt": ["C", "Endpoint"]},
        {"Fn::GetAtt": "C.Endpoint"},
        {"Fn::Sub": "redis://${C.Endpoint}"},
        {"Fn::Sub": ["${C}", {}]},
        {"Fn::Join": ["", ["a", {"Ref": "C"}]]},
    ]
    for reference in references:
        resources = {"C": CACHE, "F": function(Environment=reference), "G": function(Layer={"Ref": "F"}), "B": BUCKET}
        kept, gone = leave_out({"Resources": resources}, KNOWN)
        assert set(kept["Resources"]) == {"B"}
        assert [(name, why) for name, _, why in gone][1:] == [("F", "it refers to C"), ("G", "it refers to F")]


def test_dependency_alone_does_not_take_its_holder_out() -> None:
    """DependsOn orders, it does not need: the entry goes, the resource stays."""
    resources = {"C": CACHE, "F": {**function(), "DependsOn": ["C", "B"]}, "G": {**function(), "DependsOn": "C"}, "B": BUCKET}
    kept, _ = leave_out({"Resources": resources}, KNOWN)
    assert kept["Resources"]["F"]["DependsOn"] == ["B"]
    assert "DependsOn" not in kept["Resources"]["G"]


@pytest.mark.parametrize("type", ["AWS::Events::Rule", "Custom::CDKBucketDeployment", "AWS::Lambda::LayerVersion"])
def test_what_this_machine_does_itself_is_left_out(type: str) -> None:
    """Known or not: a schedule would publish beside the orders process, and files are served from where they are."""
    _, ((name, *_, reason),) = leave_out({"Resources": {"R": {"Type": type, "Properties": {}}, "B": BUCKET}}, KNOWN | {type})
    assert name == "R"
    assert "the local endpoint does not know" not in reason


def test_importer_of_what_is_gone_goes_too(tmp_path: Path) -> None:
    """Over any number of stacks, whatever the order of their names."""

    def out(name: str) -> dict[str, Any]:
        return {"Out": {"Value": {"Ref": "X"}, "Export": {"Name": name}}}

    stacks = {
        "C": {"Resources": {"X": CACHE}, "Outputs": out("X:Out")},
        "B": {
            "Resources": {"X": function(Url={"Fn::ImportValue": "X:Out"})},
            "Outputs": out("B:Out"),
        },
        "A": {"Resources": {"X": function(Url={"Fn::ImportValue": "B:Out"}), "B": BUCKET}},
    }
    source = tmp_path / "cdk.out"
    source.mkdir()
    for name, template in stacks.items():
        (source / f"{name}.template.json").write_text(json.dumps(template))
    left = localize(source, tmp_path / "local", KNOWN)
    assert [(each.stack, each.logical_id) for each in left] == [("A", "X"), ("B", "X"), ("C", "X")]
    assert json.loads((tmp_path / "local/A.template.json").read_text())["Resources"] == {"B": BUCKET}


def test_files_that_nothing_needs_are_not_published(tmp_path: Path) -> None:
    """Neither images nor the assets of what was left out; the template itself is."""
    source = tmp_path / "cdk.out"
    source.mkdir()
    layer = {"Type": "AWS::Lambda::LayerVersion", "Properties": {"Key": "cli.zip"}}
    (source / "A.template.json").write_text(json.dumps({"Resources": {"L": layer, "F": function(Key="ours.zip")}}))
    files = {
        name: {"source": {"path": path}, "destinations": {"d": {"objectKey": key}}}
        for name, path, key in (("1", "cli", "cli.zip"), ("2", "ours", "ours.zip"), ("3", "A.template.json", "3.json"))
    }
    (source / "A.assets.json").write_text(json.dumps({"files": files, "dockerImages": {"i": {}}}))
    localize(source, tmp_path / "local", KNOWN)
    found = json.loads((tmp_path / "local/A.assets.json").read_text())
    assert (set(found["files"]), found["dockerImages"]) == ({"2", "3"}, {})


def test_assembly_is_copied_and_the_source_stays(tmp_path: Path) -> None:
    """Templates are rewritten in the copy only; asset folders are linked."""
    source = tmp_path / "cdk.out"
    (source / "asset.1").mkdir(parents=True)
    (source / "A.template.json").write_text(json.dumps({"Resources": {"C": CACHE}}))
    left = localize(source, tmp_path / "local", KNOWN)
    assert left == [LeftOut("A", "C", "AWS::ElastiCache::ServerlessCache", "the local endpoint does not know this type")]
    assert json.loads((source / "A.template.json").read_text())["Resources"] == {"C": CACHE}
    assert (tmp_path / "local/asset.1").is_symlink()
