"""The running service against its own OpenAPI document: schemathesis sends what fits and what does not."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from realtime.tokens import issue
from services.http.openapi import document
from tests.helpers import SECRET

api = schemathesis.openapi.from_dict(document())


@api.parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.timeout(240)
def test_service_keeps_its_document(case: "schemathesis.Case[Any]", server: str) -> None:
    """No 500, no status, type or body that the document does not name, whatever is sent."""
    case.call_and_validate(base_url=server, headers={"Authorization": f"Bearer {issue(SECRET, 'job', 600, role='service')}"})
