"""What Fargate and the load balancer do in the cloud: runs the tasks of the deployed ECS service, and says where they listen.

`python -m local.hubs --cluster NAME`: a task is the process that the image's CMD starts, from exactly the image's files,
with the environment of the task definition. A new revision is rolled out as ECS does it: a new task first, then SIGTERM.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.endpoint import client
from local.lambda_like import PYTHON
from local.places import LocalError, Places
from local.process import Child, free_port, stop

LOOK_SECONDS = 1.0
STOP_SECONDS = 10.0
TARGETS = "targets.json"
"""In the deployment's folder: the ports of the hubs that take connections."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A task definition: its ARN, the folder of its image's files, and its environment."""

    arn: str
    folder: Path
    environment: dict[str, str]


@dataclass(frozen=True, slots=True)
class Task:
    revision: Revision
    port: int
    child: Child


def targets(folder: Path) -> list[int]:
    """Where the hubs listen; empty while none does."""
    try:
        found: list[int] = json.loads((folder / TARGETS).read_text())
    except (OSError, ValueError):
        return []
    return found


def command(folder: Path) -> list[str]:
    """What the image's CMD runs, with its Python for `python`; the last CMD of the Dockerfile counts."""
    lines = [line for line in (folder / "Dockerfile").read_text().splitlines() if line.startswith("CMD ")]
    program, *arguments = json.loads(lines[-1].removeprefix("CMD "))
    if program != "python":
        raise LocalError(f"{folder}/Dockerfile: CMD starts {program}, and only python is known here")
    return [str(PYTHON), "-S", *arguments]


class Service:
    """As many tasks of the newest revision as there should be, again and again."""

    def __init__(self, places: Places, cluster: str) -> None:
        self._places = places
        self._cluster = cluster
        self._ecs = client(places, "ecs")
        self._ssm = client(places, "ssm")
        self._tasks: list[Task] = []

    def look(self) -> None:
        """One round: replace what has ended or is of another revision; end all where the service is gone."""
        revision, count = self._wanted() or (None, 0)
        self._tasks = [task for task in self._tasks if task.child.popen.poll() is None]
        old = [task for task in self._tasks if task.revision != revision]
        while revision and len(self._tasks) - len(old) < count:
            self._tasks.append(self._start(revision))
        surplus = [task for task in self._tasks if task.revision == revision][count:]
        for task in old + surplus:
            self._tasks.remove(task)
        self._publish()
        for task in old + surplus:
            _end(task)

    def end(self) -> None:
        self._publish(nowhere=True)
        stop([task.child.process for task in self._tasks])

    def _wanted(self) -> tuple[Revision, int] | None:
        try:
            (arn,) = self._ecs.list_services(cluster=self._cluster)["serviceArns"]
            (service,) = self._ecs.describe_services(cluster=self._cluster, services=[arn])["services"]
        except (ValueError, self._ecs.exceptions.ClusterNotFoundException):
            return None
        definition = self._ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
        (container,) = definition["containerDefinitions"]
        folder = self._places.folder / "cdk.out" / f"asset.{container['image'].rpartition(':')[2]}"
        environment = {pair["name"]: pair["value"] for pair in container["environment"]}
        return Revision(definition["taskDefinitionArn"], folder, environment), 2 if self._pubsub(environment["BUS_PARAMETER"]) else 1

    def _pubsub(self, parameter: str) -> bool:
        """Whether PubSubStack is deployed. Then there are two hubs; the cloud has two from the start, by autoscaling."""
        try:
            self._ssm.get_parameter(Name=parameter)
        except self._ssm.exceptions.ParameterNotFound:
            return False
        return True

    def _start(self, revision: Revision) -> Task:
        port = free_port()
        environment = self._places.environment() | {"BUS_SECONDS": "2", "PYTHONUNBUFFERED": "1"} | revision.environment
        where = ["--host", "127.0.0.1", "--port", str(port)]
        log = self._places.log(f"hub-{port}")
        child = Child.start("hub", [*command(revision.folder), *where], environment, log, revision.folder / "app")
        try:
            child.wait_until(lambda: _answers(port))
        except BaseException:  # SIGTERM too: nobody else knows of it yet
            stop([child.process])
            raise
        return Task(revision, port, child)

    def _publish(self, *, nowhere: bool = False) -> None:
        ports = [] if nowhere else [task.port for task in self._tasks]
        with tempfile.NamedTemporaryFile("w", dir=self._places.folder, delete=False) as file:
            json.dump(ports, file)
        Path(file.name).replace(self._places.folder / TARGETS)


def _end(task: Task) -> None:
    os.kill(task.child.popen.pid, signal.SIGTERM)
    task.child.process.wait(STOP_SECONDS)
    stop([task.child.process])


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def _until_told(service: Service) -> Iterator[None]:
    """SIGTERM ends it, and all its tasks."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        yield
    finally:
        service.end()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.hubs", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--endpoint-port", type=int, required=True)
    parser.add_argument("--cluster", required=True)
    chosen = parser.parse_args()
    service = Service(Places(chosen.folder, chosen.endpoint_port, 0), chosen.cluster)
    with _until_told(service):
        while True:
            service.look()
            time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main()
