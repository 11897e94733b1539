"""The service's image without Docker: exactly its files, put where the Dockerfile says, run as it says, and nothing else around."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aws_cdk as cdk
import httpx2
import pytest

from local.deploy import target
from local.lambda_like import PYTHON
from local.process import Child, free_port, stop
from stacks.assets import install
from stacks.config import Config
from stacks.parts.image import Image
from tests.helpers import SECRET
from tests.hubs import readiness
from tests.services.sse.conftest import Client, bearer

FEATURES = '[features.alerts]\npattern = "sse"\nlatency = "1s"\naccess = { read = "public", publish = "service" }\n'
SECONDS = 60


@dataclass
class Built:
    """What a `docker build` would leave: a file system beside the base's, and how a container starts."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = "root"
    command: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.root / self.workdir.lstrip("/")


def build(context: Path, root: Path) -> Built:
    """Follow the Dockerfile; a KeyError names an instruction that it did not have when this was written."""
    stages: dict[str, Built] = {}
    built = Built(root)
    for line in (context / "Dockerfile").read_text().splitlines():
        word, _, rest = line.partition(" ")
        match word:
            case "" | "#" | "ARG" | "EXPOSE":
                pass
            case "FROM":
                name = rest.partition(" AS ")[2] or "last"
                built = stages[name] = Built(root / name)
            case "COPY":
                *options, source, to = rest.split()
                base = stages[options[0].removeprefix("--from=")].root if options else context
                shutil.copytree(base / source.lstrip("/"), built.root / to.lstrip("/"))
            case "RUN":
                command = [argument.replace("/app", str(built.root / "app")) for argument in json.loads(rest)]
                subprocess.run([PYTHON, "-S", *command[1:]], check=True, timeout=SECONDS, env={})
            case "WORKDIR":
                built.workdir = rest
            case "ENV":
                built.env |= dict(pair.split("=") for pair in rest.split())
            case "USER":
                built.user = rest
            case "CMD":
                built.command = json.loads(rest)
            case _:
                raise KeyError(word)
    return built


def files(folder: Path) -> dict[str, int]:
    """Every file with its last change."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `cdk deploy` hands to Docker, for this machine's Python."""
    folder, here = tmp_path_factory.mktemp("image"), target()
    install(here)
    (folder / "features.toml").write_text(FEATURES)
    keys = {"python": here.python, "architecture": here.architecture, "wheels": here.wheels}
    named = {f"realtime:lambda-{name}": value for name, value in keys.items()}
    app = cdk.App(context={**named, "features": str(folder / "features.toml")}, outdir=str(folder / "cdk.out"))
    Image(cdk.Stack(app, "Stack"), "Image", config=Config.of(app), asset="sse", folder="services/sse")
    app.synth()
    (found,) = (folder / "cdk.out").glob("asset.*")
    return found


@pytest.fixture(scope="module")
def built(context: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """The image, read-only as the task's file system is."""
    root = tmp_path_factory.mktemp("root")
    yield build(context, root)
    subprocess.run(["chmod", "-R", "u+w", root], check=True, timeout=SECONDS)  # for pytest to clear it away


def test_context_is_the_code_and_the_dockerfile(context: Path) -> None:
    """No byte code of this machine, no test, no other service; and the features are in it."""
    assert {path.name for path in context.iterdir()} <= {"Dockerfile", ".dockerignore", "app"}
    assert {path.name for path in (context / "app/services").iterdir()} == {"__init__.py", "http", "sse"}
    assert (context / "app/features.json").is_file()
    assert not list(context.rglob("__pycache__"))


def test_image_runs_as_nobody_in_particular(built: Built) -> None:
    """A numeric user that is not root, as process 1 so that SIGTERM arrives; he may read every file and change none."""
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", built.user)
    assert built.command[:3] == ["python", "-m", "services.sse"]
    assert {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"} <= set(built.env)
    modes = {path: path.stat().st_mode for path in built.folder.rglob("*")}
    assert not [path for path, mode in modes.items() if mode & 0o002 or not mode & 0o004 or (path.is_dir() and not mode & 0o001)]


def test_entry_point_serves_streams_from_its_own_files_alone(built: Built, tmp_path: Path) -> None:
    """With an almost empty environment: healthy, one published event arrives, and nothing is written where nothing can be."""
    subprocess.run(["chmod", "-R", "a-w", built.root], check=True, timeout=SECONDS)
    before, port = files(built.folder), free_port()
    command = [str(PYTHON), "-S", *[str(port) if argument == "8080" else argument for argument in built.command[1:]]]
    environment = {**built.env, "PATH": os.defpath, "REALTIME_LOG": "memory", "REALTIME_SECRET": SECRET}
    child = Child.start("image", command, environment, tmp_path / "log", built.folder)
    try:
        child.wait_until(lambda: readiness(port)[0] == 200)
        assert httpx2.get(f"http://127.0.0.1:{port}/healthz", timeout=5).status_code == 200
        reader = Client(port, "/topics/alerts/stream")
        reader.until(b"retry: ")
        new = {"type": "note", "data": "hello"}
        answer = httpx2.post(f"http://127.0.0.1:{port}/topics/alerts/events", json=new, headers=bearer("job", role="service"), timeout=5)
        assert answer.status_code == 201
        assert b'"data":"hello"' in reader.until(b"hello")
        reader.close()
    finally:
        stop([child.process])
    assert files(built.folder) == before
