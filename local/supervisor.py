"""Starts the endpoint, the deployment, the page and the orders job, watches them, and ends them all together."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from local import deploy, endpoint
from local.assembly import LeftOut
from local.places import ROOT, LocalError, Places
from local.process import Child, alive, port_is_free, stop
from local.progress import console, step
from realtime.features import FeaturesError, load

Outputs = dict[str, dict[str, str]]

DETACHED_SECONDS = 600


def up(places: Places, features: Path) -> None:
    """Deploy everything and keep it running until Ctrl-C or `down`; where it runs already, deploy what changed."""
    _check(features)
    if _supervisor(places):
        _redeploy(places, features)
        return
    _check_ports(places)
    children = list[Child]()
    with _stopping() as stopped:
        try:
            _start(places, features, children)
            console.print(f"\n  page      [bold]{places.page}[/]\n  Ctrl-C ends everything\n")
            _watch(children, stopped)
        except Interrupted:
            pass
        finally:
            with step("stopping"):
                stop([child.popen.pid for child in reversed(children)])
            places.state.unlink(missing_ok=True)


def up_detached(places: Places, features: Path) -> None:
    """The same in the background; return when the page is there, or raise what kept it from being there."""
    if _supervisor(places):
        up(places, features)
        return
    options = ["--features", str(features), "--port", str(places.page_port), "--endpoint-port", str(places.endpoint_port)]
    command = [sys.executable, "-m", "local", "--folder", str(places.folder), "up", *options]
    log = places.log("up")
    with log.open("wb") as out:
        child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    deadline, shown = time.monotonic() + DETACHED_SECONDS, 0
    while not places.load().get("ready"):
        shown = _show_new(log, shown)
        if child.poll() is not None:
            raise LocalError(f"it did not start, for the reason above (see {log})")
        if time.monotonic() > deadline:
            stop([child.pid])
            raise LocalError(f"it was not up after {DETACHED_SECONDS} s: see {log}")
        time.sleep(0.2)
    _show_new(log, shown)


def down(places: Places) -> None:
    """End what `up` started, also where its supervisor was killed."""
    state = places.load()
    pids = [process["pid"] for process in state.get("processes", []) if alive(process["pid"], process["marker"])]
    if not pids:
        console.print("nothing runs")
    elif supervisor := _supervisor(places):
        with step("stopping"):
            os.kill(supervisor, signal.SIGTERM)
            _wait_gone(supervisor)
            stop(pids)
    else:
        with step("stopping what a killed supervisor left behind"):
            stop(pids)
    places.state.unlink(missing_ok=True)


def status(places: Places) -> dict[str, Any]:
    """Endpoints, outputs, processes, and what the local endpoint was not given."""
    state = places.load()
    processes = [{"name": p["name"], "pid": p["pid"], "alive": alive(p["pid"], p["marker"])} for p in state.get("processes", [])]
    return {
        "running": bool(state.get("ready")) and any(p["alive"] for p in processes),
        "endpoints": state.get("endpoints", {}),
        "outputs": state.get("outputs", {}),
        "processes": processes,
        "left_out": state.get("left_out", []),
    }


def _start(places: Places, features: Path, children: list[Child]) -> None:
    with step("installing the local AWS endpoint"):
        endpoint.install()
    with step("installing what the functions need"):
        deploy.prepare()
    with step("starting the local AWS endpoint"):
        children.append(endpoint.start(places))
        _save(places, children)
        children[-1].wait_until(lambda: endpoint.ready(places))
    outputs, left_out = deploy.deploy(places, features, first=True)
    _tell(left_out)
    with step("starting the page and the orders job"):
        for name, command, environment in _programs(places, outputs):
            children.append(Child.start(name, command, places.environment() | environment, places.log(name), ROOT))
            _save(places, children)
        children[-2].wait_until(lambda: not port_is_free(places.page_port))
    _save(places, children, outputs=outputs, left_out=left_out)


def _programs(places: Places, outputs: Outputs) -> Iterator[tuple[str, list[str], dict[str, str]]]:
    """What runs beside the endpoint: name, command and environment, read from the deployment's outputs."""
    core = outputs["CoreStack"]
    yield "page", [sys.executable, "-m", "local.page", "--port", str(places.page_port)], {"FRONT_DOOR": _front_door(places, core)}
    yield "orders", [sys.executable, "-m", "local.orders"], {"LOG_TABLE": core["LogTable"], "ACCESS_TABLE": core["AccessTable"]}


def _front_door(places: Places, core: dict[str, str]) -> str:
    """The front door's URL for any client: <id>.execute-api.localhost does not resolve everywhere."""
    return f"{places.endpoint}/_aws/execute-api/{core['ApiId']}/$default"


def _redeploy(places: Places, features: Path) -> None:
    state = places.load()
    running = Places(places.folder, state["endpoint_port"], state["page_port"])
    deploy.prepare()
    outputs, left_out = deploy.deploy(running, features, first=False)
    _tell(left_out)
    running.save({**state, "outputs": outputs, "left_out": [asdict(left) for left in left_out]})
    console.print(f"\n  page      [bold]{running.page}[/] runs already; what changed was deployed\n")


def _save(places: Places, children: list[Child], outputs: Outputs | None = None, left_out: list[LeftOut] | None = None) -> None:
    core = (outputs or {}).get("CoreStack")
    processes = [{"name": child.name, "pid": child.popen.pid, "marker": _marker(child.name)} for child in children]
    places.save(
        {
            "ready": outputs is not None,
            "supervisor": os.getpid(),
            "endpoint_port": places.endpoint_port,
            "page_port": places.page_port,
            "endpoints": {"page": places.page, "aws": places.endpoint, "front_door": _front_door(places, core)} if core else {},
            "processes": [{"name": "supervisor", "pid": os.getpid(), "marker": "local"}, *processes],
            "outputs": outputs or {},
            "left_out": [asdict(left) for left in left_out or []],
        }
    )


def _marker(name: str) -> str:
    """What a process of that name has in its command line."""
    return "ministack" if name == "ministack" else f"local.{name}"


def _check(features: Path) -> None:
    if not deploy.CDK.exists():
        raise LocalError("the CDK command line is not installed: run make up, or npm ci")
    try:
        load(features).check_schemas()
    except FeaturesError as error:
        raise LocalError(str(error)) from None


def _check_ports(places: Places) -> None:
    for port, option in ((places.endpoint_port, "--endpoint-port"), (places.page_port, "--port")):
        if not port_is_free(port):
            raise LocalError(f"port {port} is taken: end what listens there, or choose another with {option}")


def _supervisor(places: Places) -> int | None:
    """The process of the deployment that runs in this folder."""
    state = places.load()
    pid: int = state.get("supervisor", 0)
    return pid if state.get("ready") and pid != os.getpid() and alive(pid, "local") else None


class Interrupted(BaseException):
    """Ctrl-C, or a SIGTERM from `down`."""


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Turn the first signal into an orderly end; while that goes on, further ones are ignored."""
    stopped = threading.Event()

    def stop_now(*_: object) -> None:
        if not stopped.is_set():
            stopped.set()
            raise Interrupted

    before = {number: signal.signal(number, stop_now) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(children: list[Child], stopped: threading.Event) -> None:
    """Return when asked to stop; raise when a child ends by itself."""
    while not stopped.wait(0.5):
        for child in children:
            if child.popen.poll() is not None:
                raise LocalError(f"{child.name} ended with code {child.popen.returncode}: {child.last_words()} (see {child.log})")


def _tell(left_out: list[LeftOut]) -> None:
    if not left_out:
        console.print("  every resource of the templates is deployed")
    for left in left_out:
        console.print(f"  [yellow]left out[/] {left.stack}/{left.logical_id} ({left.type}): {left.reason}", soft_wrap=True)


def _show_new(log: Path, shown: int) -> int:
    text = log.read_text(errors="replace")
    console.file.write(text[shown:])
    console.file.flush()
    return len(text)


def _wait_gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while alive(pid, "local") and time.monotonic() < deadline:
        time.sleep(0.1)
