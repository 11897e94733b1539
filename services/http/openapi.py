"""`python -m services.http.openapi`: the OpenAPI document of the HTTP application, as it stands in docs/openapi.json."""

import json
import os
import sys
from typing import Any

from fastapi.openapi.utils import get_openapi

from realtime.runtime import Runtime
from services.http.app import create_app
from services.http.schemas import Problem


def document() -> dict[str, Any]:
    """The document of all routes."""
    app = create_app(Runtime.from_env({**os.environ, "REALTIME_LOG": "memory"}))
    made = get_openapi(title=app.title, version=app.version, routes=app.routes)
    made["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    for path in made["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)  # what FastAPI would answer; ours is 400
    made["components"]["schemas"] = {n: s for n, s in made["components"]["schemas"].items() if "ValidationError" not in n}
    return made


if __name__ == "__main__":
    json.dump(document(), sys.stdout, indent=2)
    sys.stdout.write("\n")
