"""What is left out of a template for the local endpoint: unknown types, and what cannot stand without them."""

import json
from pathlib import Path
from typing import Any

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


def test_assembly_is_copied_and_the_source_stays(tmp_path: Path) -> None:
    """Templates are rewritten in the copy only; asset folders are linked."""
    source = tmp_path / "cdk.out"
    (source / "asset.1").mkdir(parents=True)
    (source / "A.template.json").write_text(json.dumps({"Resources": {"C": CACHE}}))
    left = localize(source, tmp_path / "local", KNOWN)
    assert left == [LeftOut("A", "C", "AWS::ElastiCache::ServerlessCache", "the local endpoint does not know this type")]
    assert json.loads((source / "A.template.json").read_text())["Resources"] == {"C": CACHE}
    assert (tmp_path / "local/asset.1").is_symlink()
