"""docs/conformance.md has a row for each case."""

from pathlib import Path

from tests.conformance.case import Case
from tests.conformance.cases import CASES
from tests.conformance.target import PROMISES, Target

DOCUMENT = Path(__file__).parents[2] / "docs/conformance.md"


def row(case: Case) -> str:
    return f"| {case.name} | {case.source} | {' '.join(case.needs)} | {case.rule} |"


def test_table_is_current() -> None:
    """The rows are those of the cases, in their order."""
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ") and not line.startswith("| case ")]
    assert rows == [row(case) for case in CASES]


def test_cases_are_complete() -> None:
    """Each has a name of its own and a rule, and needs only what a target can offer."""
    assert len({case.name for case in CASES}) == len(CASES)
    known = PROMISES.keys() | set(Target.__dataclass_fields__)
    assert all(case.rule and set(case.needs) <= known for case in CASES)
