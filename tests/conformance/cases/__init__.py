"""The cases, by what they look at, in the order of the report."""

from tests.conformance.case import Case
from tests.conformance.cases import answer, body, ending, load, resume

CASES: list[Case] = [found for module in (answer, body, resume, load, ending) for found in vars(module).values() if isinstance(found, Case)]
