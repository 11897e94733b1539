"""The commands `advise` and `cost`: what they say, to people and to programs, and with which exit code."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from advisor import command
from advisor.bills import FIXED, Costs
from advisor.commands import advise, cost
from advisor.prices import items
from advisor.ways import NAMES, WAYS
from tests.helpers import feature

ROOT = Path(__file__).parents[2]
FILE = str(ROOT / "features.toml")

DASHBOARD = 'pattern = "polling"\nlatency = "30s"\nkeep = "latest"\n'
WASTE = 'pattern = "polling"\nlatency = "30s"\nreaders = 10_000\nopen = "24h/day"\naccess = { read = "public" }\n'
BROKEN = 'pattern = "sse"\nhost = "lambda"\nlatency = "1s"\nreaders = 2_000\nopen = "0.01h/day"\n'
ALERTS = 'pattern = "sse"\nlatency = "1s"\nreaders = 50\n'


def run(app: typer.Typer, *words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "80", "FORCE_COLOR": ""})


def document(app: typer.Typer, *words: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(app, *words, "--json").stdout)
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A place for a features file."""
    return tmp_path / "features.toml"


def write(file: Path, **tables: str) -> Path:
    file.write_text("\n".join(f"[features.{name}]\n{keys}" for name, keys in tables.items()))
    return file


def test_advice_has_all_of_it() -> None:
    """Way, reason, what was rejected and at what cost, what to write and to run, for each feature of the file."""
    shown = " ".join(run(advise, FILE).stdout.split())
    for word in (
        "metrics",
        "alerts",
        "orders",
        "chat",
        "answers",
        "polling is enough",
        "not SSE from Lambda",
        "AppSync Events",
        "EUR (the guide)",
    ):
        assert word in shown
    assert 'write pattern = "sse", host = "lambda" deploy npx cdk deploy SseLambdaStack' in shown
    assert "the file says fallback" in shown


@pytest.mark.parametrize("words", [(advise, FILE), (advise, FILE, "--explain", "orders"), (cost, FILE), (cost, FILE, "--lines", "metrics")])
def test_eighty_columns_without_colour(words: tuple[Any, ...]) -> None:
    """What is piped has no escapes and no blanks at the ends of lines; only commands to copy are longer than 80."""
    lines = run(*words).stdout.splitlines()
    assert all(len(line) <= 80 or "npx cdk deploy" in line for line in lines)
    assert all(line == line.rstrip() and "\x1b" not in line for line in lines)


def test_advice_for_programs_is_complete() -> None:
    """For each feature what is recommended and why, each way with its bill, what was found, where it turns."""
    features = document(advise, FILE)["features"]
    assert set(features) == {"metrics", "alerts", "orders", "chat", "answers"}
    alerts = features["alerts"]
    assert alerts["recommended"]["write"] == {"pattern": "sse", "host": "service"}
    assert set(alerts["ways"]) == set(WAYS)
    assert {turn["cheaper"] for turn in alerts["turns"]} == {"sse-service"}
    assert all(alerts["rejected"].values())


def test_file_that_names_no_pattern_is_advised_and_not_judged(file: Path) -> None:
    """The advisor picks by needs and cost, and says what would be deployed as the file stands."""
    write(file, figures=WASTE.split("\n", 1)[1])
    figures = document(advise, file)["features"]["figures"]
    assert (figures["recommended"]["way"], figures["chosen"], figures["findings"]) == ("sse-service", None, [])
    assert "the file names no pattern, so that polling would be deployed" in " ".join(run(advise, file).stdout.split())


@pytest.mark.parametrize(("keys", "plain", "strict"), [(DASHBOARD, 0, 0), (WASTE, 0, 1), (BROKEN, 1, 1)], ids=["well", "warning", "error"])
def test_exit_codes_of_advice(file: Path, keys: str, plain: int, strict: int) -> None:
    """0 where all is well or only wastes, 1 where something cannot work; --strict: 1 for warnings, too."""
    write(file, it=keys)
    assert (run(advise, file).exit_code, run(advise, file, "--strict").exit_code) == (plain, strict)


def test_finding_has_cure_and_source(file: Path) -> None:
    """On the terminal as well as for programs."""
    shown = " ".join(run(advise, write(file, figures=WASTE)).stdout.split())
    assert "warning waste: polling costs" in shown
    assert 'write pattern = "sse", host = "service" (docs/costs.md)' in shown
    assert "0 errors, 1 warning" in shown


@pytest.mark.parametrize("pattern", ["", 'pattern = "polling"\n'], ids=["none", "named"])
@pytest.mark.parametrize("words", [(), ("--explain", "flood")], ids=["all", "explain"])
def test_what_no_way_can_bear_is_an_error(file: Path, pattern: str, words: tuple[str, ...]) -> None:
    """Whether the file names a pattern or not: it is shown, and the exit code is 1."""
    write(file, flood=f'{pattern}latency = "30s"\nevents = "100/s"\n')
    result = run(advise, file, *words)
    assert (result.exit_code, "error appends: 100 events a second" in " ".join(result.stdout.split())) == (1, True)
    assert document(advise, file)["features"]["flood"]["findings"][0]["level"] == "error"


def test_one_reader_is_not_many(file: Path) -> None:
    """In the line of needs, of both commands."""
    write(file, mine=f"{DASHBOARD}readers = 1\n")
    assert all("mine  1 reader, 8 h a day" in run(app, file).stdout for app in (advise, cost))


def test_explanation_is_the_whole_reasoning() -> None:
    """Needs, facts that rule out, each bill with price, date and source, where it turns, and the guide's figure for as many."""
    shown = " ".join(run(advise, FILE, "--explain", "alerts").stdout.split())
    for word in (
        "what was read direction down",
        "what it rules out polling: it asks once an interval",
        "load-balancer-hours 720 hours 0.0225 16.20",
        "AWS price list API",
        "[2026-09]",
        "SSE on Fargate costs less than SSE from Lambda from",
        "0.75 to 2.50 EUR a month for 50",
    ):
        assert word in shown


def test_without_servers_there_is_no_fargate() -> None:
    """--serverless rules it out, by that fact."""
    found = document(advise, FILE, "--serverless")["features"]
    assert all(each["recommended"]["way"] != "sse-service" for each in found.values())
    assert "only serverless is there" in found["alerts"]["rejected"]["sse-service"]


def test_costs_have_a_column_for_each_way() -> None:
    """A row for each feature, what the file has is marked, and below stands what is assumed."""
    shown = run(cost, FILE).stdout
    header = " ".join(shown.splitlines()[2:4])
    assert all(word in header for name in NAMES.values() for word in name.split())
    assert shown.count(" *") >= 5
    assert "assumptions: a month of 30 days; list prices of us-east-1" in shown


def test_costs_table_breaks_no_word(file: Path) -> None:
    """Each row of figures is one line of seven, however long the name and high the costs."""
    huge = 'latency = "1s"\npattern = "sse"\nreaders = 900_000\nopen = "24h/day"\nevents = "1/s"\n'
    write(file, **{"a-name-that-has-32-characters-ok": huge, "chat": 'pattern = "websocket"\ndirection = "both"\n'})
    rows = [line for line in run(cost, file, "--region", "eu-west-1").stdout.splitlines() if "*" in line and "(*)" not in line][:2]
    assert [len(row.split()) for row in rows] == [7, 7]
    assert all(len(row) <= 80 for row in rows)


def test_total_has_allowances_and_hubs_once(file: Path) -> None:
    """Two SSE features share two tasks and a load balancer, so they cost less together than each by itself."""
    write(file, alerts=ALERTS, feed=ALERTS)
    found = document(cost, file)
    alone = [each["ways"]["sse-service"]["usd"] for each in found["features"].values()]
    hours = {line["item"]: line["quantity"] for line in found["total"]["lines"]}
    assert hours["load-balancer-hours"] == 720
    assert found["total"]["usd"] < sum(alone) - 30
    assert found["total"]["usd"] == pytest.approx(sum(line["usd"] for line in found["total"]["lines"]) + sum(FIXED.values()))


def test_costs_for_programs_are_complete() -> None:
    """Each way with each line: quantity, unit, price, date and source."""
    found = document(cost, FILE, "--region", "eu-west-1")
    assert found["month"]["region"] == "eu-west-1"
    for each in found["features"].values():
        for way in each["ways"].values():
            assert way["usd"] == pytest.approx(sum(line["usd"] for line in way["lines"]))
            assert all(line["unit"] and line["date"] and line["source"] and line["price"] > 0 for line in way["lines"])


def test_price_that_is_not_sourced_is_marked() -> None:
    """The us-east-1 price stands in, and both table and bill say so."""
    unsourced = [name for name, item in items().items() if item["eu-west-1"] is None]
    shown = run(cost, FILE, "--region", "eu-west-1").stdout
    lines = run(cost, FILE, "--region", "eu-west-1", "--lines", "chat").stdout
    assert unsourced
    assert "~ us-east-1's price: none sourced" in shown
    assert "0.25~" in next(line for line in lines.splitlines() if line.strip().startswith("websocket-minutes"))
    assert "~" not in run(cost, FILE).stdout


def test_bill_item_by_item() -> None:
    """With quantities in the unit of the price; what is free each month is told."""
    shown = run(cost, FILE, "--lines", "metrics").stdout
    assert "cloudfront-requests    34.56 M HTTPS requests        1 24.56 a" in shown
    assert "free each month, taken off: cloudfront-requests 10 M HTTPS requests" in shown


@pytest.mark.parametrize("words", [("--budget", "1"), ("--lines", "metrics")])
def test_figure_and_table_are_not_asked_for_at_once(tmp_path: Path, words: tuple[str, str]) -> None:
    """A budget that a figure would pass over is not kept in silence."""
    refused = run(cost, FILE, "--plot", tmp_path / "x.svg", *words)
    assert (refused.exit_code, "leave them or --plot out" in refused.stderr) == (2, True)


def test_json_says_that_fargate_is_out_where_only_serverless_is_there() -> None:
    """`meets_needs`, as the advice itself."""
    metrics = document(advise, FILE, "--serverless")["features"]["metrics"]
    assert not metrics["ways"]["sse-service"]["meets_needs"]


def test_budget_is_kept_or_the_dearest_feature_named(file: Path) -> None:
    """Exit 0 within it; else 1 and a sentence on stderr with what would cost less."""
    write(file, figures=WASTE, calm=DASHBOARD)
    within, beyond = run(cost, file, "--budget", "2000"), run(cost, file, "--budget", "200", "--json")
    assert (within.exit_code, within.stderr) == (0, "")
    assert beyond.exit_code == 1
    assert "is more than the budget of 200.00: figures costs most" in beyond.stderr
    assert "by SSE on Fargate it would cost" in beyond.stderr
    assert json.loads(beyond.stdout)["total"]["usd"] > 200


WRONG: list[tuple[str, tuple[Any, ...], str]] = [
    ("missing file", (advise, "nowhere.toml"), "nowhere.toml: cannot be read"),
    ("missing file", (cost, "nowhere.toml"), "nowhere.toml: cannot be read"),
    ("unknown feature", (advise, FILE, "--explain", "mertics"), "has no feature mertics: did you mean metrics?"),
    ("unknown feature", (cost, FILE, "--lines", "nothing"), "has no feature nothing: there are metrics, alerts"),
    ("unknown region", (advise, FILE, "--region", "mars"), "prices of mars are not known"),
    ("unknown region", (cost, FILE, "--region", "mars"), "prices of mars are not known"),
    ("unknown option", (cost, FILE, "--bugdet", "2"), "No such option: --bugdet"),
    ("no number", (cost, FILE, "--budget", "much"), "--budget"),
    ("option of a figure", (cost, FILE, "--dark"), "add --plot"),
    ("extension", (cost, FILE, "--plot", "cost.pdf"), "name a file that ends in .svg or .png"),
    ("folder", (cost, FILE, "--plot", "nowhere/cost.svg"), "there is no folder nowhere"),
    ("missing file of a figure", (cost, "nowhere.toml", "--plot", "cost.svg"), "nowhere.toml: cannot be read"),
    ("hours", (cost, FILE, "--plot", "cost.svg", "--open", "long"), 'write hours per day, as in "8h/day"'),
    ("feature of a figure", (cost, FILE, "--plot", "cost.svg", "--feature", "mertics"), "did you mean metrics?"),
    ("both", (advise, FILE, "--ask"), "--ask is instead of a file"),
    ("nothing to write", (advise, FILE, "--write", "x.toml"), "add --ask"),
]


@pytest.mark.parametrize(("what", "words", "said"), WRONG, ids=[f"{what}-{n}" for n, (what, *_) in enumerate(WRONG)])
def test_error_is_one_sentence(what: str, words: tuple[Any, ...], said: str) -> None:
    """On stderr, with exit code 2, without traceback and without half an answer."""
    result = run(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_every_mistake_of_the_file_is_told(file: Path) -> None:
    """A line each, as synth has them."""
    result = run(cost, write(file, one='latency = "soon"\n', two='pattern = "carrier-pigeon"\n'))
    assert result.exit_code == 2
    assert [line.startswith("error: ") for line in result.stderr.splitlines()] == [True, True]


@pytest.mark.parametrize("app", [advise, cost], ids=["advise", "cost"])
def test_features_toml_of_the_folder_is_read(app: typer.Typer, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no file is named; where there is none, and nobody to ask, that is an error."""
    monkeypatch.chdir(file.parent)
    missing = run(app)
    assert (missing.exit_code, missing.stderr.startswith("error: there is no features.toml")) == (2, True)
    write(file, figures=DASHBOARD)
    assert "figures" in run(app).stdout


def test_nothing_is_cheaper_than_what_is_recommended() -> None:
    """The budget's sentence proposes only what advise would."""
    assert Costs(feature(latency="30s", pattern="polling")).cheaper() is None
    assert Costs(feature(latency="1s", pattern="fallback")).cheaper() == "sse-service"


def test_what_takes_long_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, once two seconds have passed, and not before."""
    with command.progress("brief"):
        pass
    monkeypatch.setattr(command, "LONG_SECONDS", 0.0)
    with command.progress("drawing"):
        pass
    assert capsys.readouterr().err == "drawing ...\n"


def test_documented_output_is_current(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/advisor.md shows what the commands print today; --snapshot-update writes it anew."""
    monkeypatch.chdir(ROOT)
    page, apps = Path("docs/advisor.md"), {"advise": advise, "cost": cost}

    def block(shown: re.Match[str]) -> str:
        name, *words = shown[1].split()
        return f"```\n$ {shown[1]}\n{run(apps[name], *words).stdout}```\n"

    current = re.sub(r"```\n\$ (.+)\n(?:[^`].*\n|\n)*```\n", block, page.read_text())
    if request.config.getoption("--snapshot-update"):
        page.write_text(current)
    assert page.read_text() == current


@pytest.mark.parametrize("app", [advise, cost], ids=["advise", "cost"])
def test_every_option_is_documented(app: typer.Typer) -> None:
    """In docs/advisor.md."""
    options = {word for parameter in typer.main.get_command(app).params for word in parameter.opts if word.startswith("--")}
    assert options <= set(re.findall(r"--[a-z]+", (ROOT / "docs/advisor.md").read_text()))


def test_command_as_it_is_typed(tmp_path: Path) -> None:
    """The script of the virtual environment, from another folder, into a pipe."""
    script = Path(sys.executable).parent / "cost"
    done = subprocess.run(
        [script, FILE, "--budget", "1"], cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": ""}
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "total" in done.stdout
