"""Where the local deployment keeps its files, and which ports it uses."""

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
REGION = "us-east-1"
ACCOUNT = "000000000000"  # MiniStack's default account: its data plane looks APIs up there


class LocalError(Exception):
    """Something keeps the local deployment from working; the message is one sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Places:
    """One local deployment: its folder and its ports. Two deployments with different ones do not meet."""

    folder: Path
    endpoint_port: int
    page_port: int

    @property
    def endpoint(self) -> str:
        return f"http://localhost:{self.endpoint_port}"  # S3 addressing fails with 127.0.0.1

    @property
    def page(self) -> str:
        return f"http://localhost:{self.page_port}"

    @property
    def state(self) -> Path:
        return self.folder / "state.json"

    def log(self, name: str) -> Path:
        """The log file of a process."""
        path = self.folder / "logs" / f"{name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def environment(self) -> dict[str, str]:
        """The environment of everything that talks to the local endpoint: no profile of this machine, so no real account."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_", "PYTHONDONT"))}
        return kept | {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "localhost,127.0.0.1",
            "no_proxy": "localhost,127.0.0.1",
            "CDK_DISABLE_CLI_TELEMETRY": "1",
            "CDK_DISABLE_VERSION_CHECK": "1",
            "CDK_VALIDATION": "false",  # a test holds the templates against it; here it would cost 4 s
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
            "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
        }

    def save(self, state: dict[str, Any]) -> None:
        """Write the state in one step: a reader never sees half of it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self.folder, delete=False) as file:
            json.dump(state, file, indent=2)
        Path(file.name).replace(self.state)

    def load(self) -> dict[str, Any]:
        """The state of the deployment that was started last; empty where there is none."""
        try:
            state: dict[str, Any] = json.loads(self.state.read_text())
        except (OSError, ValueError):
            return {}
        return state
