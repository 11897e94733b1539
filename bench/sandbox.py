"""A folder and an environment like Lambda's: the asset in front, the runtime's boto3 behind it, nothing else of this machine.

What Lambda does and this repeats: the runtime's own packages are byte-compiled; the asset is not and cannot be, since it
is read-only. So every cold start compiles all the source that it imports, ours and FastAPI's alike.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.deploy import prepare, target
from local.lambda_like import PYTHON, provided
from local.places import REGION, ROOT, LocalError
from local.progress import step
from realtime.features import load
from stacks.assets import FEATURES, stage

SCRATCH = ROOT / ".local" / "bench"

PROCESS_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Sandbox:
    """`task` is the function's staged asset; `bare` has the same dependencies and, for comparison, the least that serves."""

    task: Path
    bare: Path

    def run(self, folder: Path, arguments: list[str], variables: Mapping[str, str] | None = None) -> str:
        """What a fresh process prints whose code is in `folder`; `LocalError` if it fails or takes over 300 s."""
        command = [str(PYTHON), "-S", *arguments]
        environment = self._environment(folder) | dict(variables or {})
        return _output(command, folder, environment)

    def _environment(self, folder: Path) -> dict[str, str]:
        """All variables of the process: what the stacks set, and dummy credentials."""
        return {
            "PYTHONPATH": f"{folder}:{provided()}",
            "PYTHONSAFEPATH": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "LANG": "C.UTF-8",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "FEATURES": FEATURES,
            "LOG_TABLE": "log",
            "ACCESS_TABLE": "access",
            "SECRET_ARN": "arn:aws:secretsmanager:us-east-1:000000000000:secret:bench",
            "ORIGINS": "",
            "CONNECTIONS_TABLE": "connections",
            "FANOUT_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/fanout",
            "WEBSOCKET_ENDPOINT": "https://bench.execute-api.us-east-1.amazonaws.com/live",
            "POSTS_PER_SECOND": "1000",
        }


@contextmanager
def sandbox(asset: str = "http") -> Iterator[Sandbox]:
    """Both folders of an asset, in a temporary one, staged from the sources as they are now."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH, prefix="sandbox-") as folder:
        made = Sandbox(Path(folder) / "task", Path(folder) / "bare")
        with step("installing and staging what the functions need"):
            prepare()
            provided()
            _fill(made, asset)
        yield made


def _fill(made: Sandbox, asset: str) -> None:
    staged, _ = stage(target(), asset, load(ROOT / "features.toml"))
    _link(staged, made.task)
    _link(target().folder / f"{asset}.dependencies", made.bare)
    for place in (made.task, made.bare):
        (place / "bench").mkdir()
        for name in ("__init__", "bare_client", "bare_import", "bare_read", "warm_worker"):
            shutil.copy(ROOT / "bench" / f"{name}.py", place / "bench")


def _link(source: Path, copy: Path) -> None:
    """A copy without byte-code, whoever may have left some in the source."""
    shutil.copytree(source, copy, copy_function=os.link, ignore=shutil.ignore_patterns("__pycache__"))


def _output(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> str:
    what = " ".join(command)[:120]
    try:
        done = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True, timeout=PROCESS_SECONDS)
    except subprocess.TimeoutExpired:
        raise LocalError(f"{what} took longer than {PROCESS_SECONDS} s") from None
    if done.returncode:
        raise LocalError(f"{what} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout
