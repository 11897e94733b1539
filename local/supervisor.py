"""Starts the endpoint, the deployment, the page and the orders job, watches them, and ends them all together."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rich.markup import escape

from functions.shop.day import FIGURES
from local import deploy, endpoint, valkey
from local.assembly import LeftOut
from local.hubs import targets
from local.places import ROOT, LocalError, Places
from local.process import Child, Process, free_port, port_is_free, stop
from local.progress import console, step
from realtime.features import Features, FeaturesError, load
from stacks.assets import FEATURES

Outputs = dict[str, dict[str, str]]

DETACHED_SECONDS = 600
SSE, SSE_LAMBDA = "SseServiceStack", "SseLambdaStack"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to run: a features file, and how hubs hear of events."""

    features_file: Path
    bus: str = "log"


class Interrupted(BaseException):
    """Ctrl-C, or a SIGTERM from `down`."""


def up(places: Places, wanted: Wanted) -> None:
    """Deploy everything and keep it running until Ctrl-C or `down`; where it runs already, deploy what changed."""
    features = _checked(wanted.features_file)
    if _supervisor(places):
        _redeploy(places, wanted, features)
        return
    with _alone_in(places):
        _clear_away(places)
        _check_ports(places)
        children = list[Child]()
        with _stopping() as stopped:
            try:
                _start(places, wanted, features, children)
                console.print(f"\n  page      [bold]{places.page}[/]\n  Ctrl-C ends everything\n")
                _watch(children, stopped)
            except Interrupted:
                pass
            finally:
                with step("stopping"):
                    stop([child.process for child in reversed(children)])
                places.state.unlink(missing_ok=True)


def up_detached(places: Places, wanted: Wanted) -> None:
    """The same in the background; return when the page is there, or raise what kept it from being there."""
    if _supervisor(places):
        up(places, wanted)
        return
    options = ["--features", str(wanted.features_file), "--bus", wanted.bus]
    options += [
        "--port",
        str(places.page_port),
        "--endpoint-port",
        str(places.endpoint_port),
    ]
    command = [sys.executable, "-m", "local", "--folder", str(places.folder), "up", *options]
    log = places.log("up")
    with log.open("wb") as out:
        child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    deadline, shown = time.monotonic() + DETACHED_SECONDS, 0
    while (supervisor := _supervisor(places)) is None or supervisor.pid != child.pid:
        shown = _show_new(log, shown)
        if child.poll() is not None:
            raise LocalError(f"it did not start, for the reason above (see {log})")
        if time.monotonic() > deadline:
            stop([Process.of(child.pid)])
            raise LocalError(f"it was not up after {DETACHED_SECONDS} s: see {log}")
        time.sleep(0.2)
    _show_new(log, shown)


def down(places: Places) -> None:
    """End what `up` started, also where it is still starting, or its supervisor was killed."""
    processes = _processes(places)
    running = [process for process in processes if process.alive]
    if not running:
        console.print("nothing runs")
    elif running[0] == processes[0]:
        with step("stopping"):
            os.kill(running[0].pid, signal.SIGTERM)
            running[0].wait(seconds=20)
            stop(running)
    else:
        with step("stopping what a killed supervisor left behind"):
            stop(running)
    places.state.unlink(missing_ok=True)


def status(places: Places) -> dict[str, Any]:
    """Endpoints, outputs, processes, and what the local endpoint was not given."""
    state, processes = places.load(), _processes(places)
    return {
        "running": _supervisor(places) is not None,
        "endpoints": state.get("endpoints", {}),
        "outputs": state.get("outputs", {}),
        "processes": [{"name": p.name, "pid": p.pid, "alive": p.alive} for p in processes],
        "left_out": state.get("left_out", []),
    }


def _start(places: Places, wanted: Wanted, features: Features, children: list[Child]) -> None:
    _save(places, children)
    with step("installing the local AWS endpoint"):
        endpoint.install()
    with step("installing what the functions need"):
        deploy.prepare()
    with step("starting the local AWS endpoint"):
        children.append(endpoint.start(places))
        _save(places, children)
        children[-1].wait_until(lambda: endpoint.ready(places))
    broker = _broker(places, wanted, features, children)
    outputs, left_out = deploy.deploy(places, deploy.Chosen(wanted.features_file, wanted.bus, broker), first=True)
    (places.folder / FEATURES).write_text(features.encode())
    _tell(left_out)
    streams = free_port() if SSE_LAMBDA in outputs else None
    with step("starting the page and the jobs"):
        for name, command, environment in _programs(places, wanted.features_file, features, outputs, streams):
            children.append(Child.start(name, command, places.environment() | environment, places.log(name), ROOT))
            _save(places, children)
        page = next(child for child in children if child.name == "page")
        page.wait_until(lambda: not port_is_free(places.page_port))
    if SSE in outputs:
        with step("starting the hubs"):
            hubs = next(child for child in children if child.name == "hubs")
            hubs.wait_until(lambda: bool(targets(places.folder)))
    if streams:
        environments = next(child for child in children if child.name == "environments")
        environments.wait_until(lambda: not port_is_free(streams))
    _save(
        places,
        children,
        outputs=outputs,
        left_out=left_out,
        local={"valkey": broker, "streams": streams, "on_lambda": _on_lambda(features)},
    )


def _broker(places: Places, wanted: Wanted, features: Features, children: list[Child]) -> str | None:
    """The URL of a Valkey of this machine, which the hubs may use now or later; none where nobody needs it."""
    streams = any(feature.pattern in ("sse", "fallback") for feature in features.values())
    if not streams or (wanted.bus == "log" and not valkey.program()):
        return None
    port = free_port()
    with step("starting Valkey"):
        children.append(valkey.start(port, places.log("valkey")))
    return f"redis://127.0.0.1:{port}"


def _on_lambda(features: Features) -> list[str]:
    """The features whose streams come from Lambda."""
    return [name for name, feature in features.items() if feature.host == "lambda" and feature.pattern in ("sse", "fallback")]


def _programs(
    places: Places, features_file: Path, features: Features, outputs: Outputs, streams: int | None
) -> Iterator[tuple[str, list[str], dict[str, str]]]:
    """What runs beside the endpoint: name, command and environment, read from the deployment's outputs."""
    core = outputs["CoreStack"]
    yield "page", [sys.executable, "-m", "local.page", "--port", str(places.page_port)], _page_environment(places, outputs)
    where = ["--folder", str(places.folder), "--endpoint-port", str(places.endpoint_port)]
    if streams:
        function = ["--function", outputs[SSE_LAMBDA]["SseLambdaFunction"], "--port", str(streams)]
        yield "environments", [sys.executable, "-m", "local.environments", *where, *function], {}
    if SSE in outputs:
        yield "hubs", [sys.executable, "-m", "local.hubs", *where, "--cluster", outputs[SSE]["SseCluster"]], {}
    if FIGURES not in features:
        console.print(f"  {features_file.name} has no feature {FIGURES}: the orders job stays away, and the page has no figures")
        return
    tables = {"LOG_TABLE": core["LogTable"], "ACCESS_TABLE": core["AccessTable"], "FEATURES": str(features_file.resolve())}
    yield "orders", [sys.executable, "-m", "local.orders"], tables


def _page_environment(places: Places, outputs: Outputs) -> dict[str, str]:
    """What the page's server needs: where the APIs are, and the secret that signs its guests' tokens."""
    found = _endpoints(places, outputs)
    secret = endpoint.client(places, "secretsmanager").get_secret_value(SecretId=outputs["CoreStack"]["SecretArn"])["SecretString"]
    return {"FRONT_DOOR": found["front_door"], "FOLDER": str(places.folder), "SIGNING_SECRET": secret}


def _endpoints(places: Places, outputs: Outputs, streams: int | None = None) -> dict[str, str]:
    """What listens where; `streams`: the port of what runs the streaming function."""
    found = {"page": places.page, "aws": places.endpoint}
    found["front_door"] = endpoint.execute_api(places, outputs["CoreStack"]["ApiId"])
    if "WebSocketStack" in outputs:
        found["websocket"] = endpoint.execute_api(places, outputs["WebSocketStack"]["WebSocketApiId"], "live", "ws")
    if streams and SSE_LAMBDA in outputs:
        found["streams"] = f"http://127.0.0.1:{streams}"
    return found


def _redeploy(places: Places, wanted: Wanted, features: Features) -> None:
    state = places.load()
    if wanted.bus == "valkey" and not state.get("valkey"):
        raise LocalError("no Valkey runs here: install valkey-server or redis-server, then down, and up --bus valkey")
    running = Places(places.folder, state["endpoint_port"], state["page_port"])
    deploy.prepare()
    outputs, left_out = deploy.deploy(running, deploy.Chosen(wanted.features_file, wanted.bus, state.get("valkey")), first=False)
    (running.folder / FEATURES).write_text(features.encode())
    _tell(left_out)
    changed = {"endpoints": _endpoints(running, outputs, state.get("streams")), "outputs": outputs, "on_lambda": _on_lambda(features)}
    running.save({**state, **changed, "left_out": [asdict(left) for left in left_out]})
    console.print(f"\n  page      [bold]{running.page}[/] runs already; what changed was deployed\n")


def _save(
    places: Places,
    children: list[Child],
    outputs: Outputs | None = None,
    left_out: list[LeftOut] | None = None,
    local: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    places.save(
        {
            "ready": outputs is not None,
            "endpoint_port": places.endpoint_port,
            "page_port": places.page_port,
            "endpoints": _endpoints(places, outputs, local.get("streams")) if outputs else {},
            "processes": [asdict(Process.of(os.getpid(), "supervisor")), *(asdict(child.process) for child in children)],
            "outputs": outputs or {},
            **local,
            "left_out": [asdict(left) for left in left_out or []],
        }
    )


def _checked(features_file: Path) -> Features:
    if not deploy.CDK.exists():
        raise LocalError("the CDK command line is not installed: run make up, or npm ci")
    try:
        features = load(features_file)
        features.check_schemas()
    except FeaturesError as error:
        raise LocalError(str(error)) from None
    return features


def _check_ports(places: Places) -> None:
    for port, option in ((places.endpoint_port, "--endpoint-port"), (places.page_port, "--port")):
        if not port_is_free(port):
            raise LocalError(f"port {port} is taken: end what listens there, or choose another with {option}")


def _processes(places: Places) -> list[Process]:
    """What the state names, the supervisor first."""
    return [Process(**process) for process in places.load().get("processes", [])]


def _supervisor(places: Places) -> Process | None:
    """The supervisor of the deployment that is up in this folder."""
    processes = _processes(places)
    return processes[0] if places.load().get("ready") and processes and processes[0].alive else None


def _clear_away(places: Places) -> None:
    """End what a killed supervisor left behind: the lock says that nobody else is at work here."""
    left = [process for process in _processes(places) if process.alive]
    if left:
        with step("stopping what a killed supervisor left behind"):
            stop(left)
    places.state.unlink(missing_ok=True)


@contextmanager
def _alone_in(places: Places) -> Iterator[None]:
    """Hold the folder's lock; the system lets go of it when this process ends, however it ends."""
    places.folder.mkdir(parents=True, exist_ok=True)
    with (places.folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LocalError("another up is at work in this folder: wait for it, or end it with down") from None
        yield


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
        told = escape(f"{left.stack}/{left.logical_id} ({left.type}): {left.reason}")
        console.print(f"  [yellow]left out[/] {told}", soft_wrap=True)


def _show_new(log: Path, shown: int) -> int:
    text = log.read_text(errors="replace")
    console.file.write(text[shown:])
    console.file.flush()
    return len(text)
