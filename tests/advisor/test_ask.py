"""Questions at the terminal: the guide's four and what costs need, and what becomes of the answers."""

import io
import json
import os
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from advisor import commands
from advisor.ask import QUESTIONS, Asked, ask
from advisor.given import CommandError
from realtime.features_file import read

DEFAULTS = [""] * len(QUESTIONS)


def run(answers: list[str], *words: object) -> Result:
    return CliRunner().invoke(
        commands.advise, ["--ask", *map(str, words)], input="\n".join([*answers, ""]), env={"COLUMNS": "80", "FORCE_COLOR": ""}
    )


def asked(monkeypatch: pytest.MonkeyPatch, *answers: str) -> tuple[Asked, str]:
    """The answers that are taken, and what was said meanwhile."""
    shown = io.StringIO()
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join([*answers, ""])))
    return ask(Console(file=shown, width=120)), shown.getvalue()


def test_the_guides_four_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two-way, latency, infrastructure, readers; each question has a default."""
    answers, shown = asked(monkeypatch, *DEFAULTS)
    for words in ("clients send", "How late", "serverless only, or servers too", "How many readers"):
        assert words in shown
    assert (answers.name, answers.servers) == ("updates", True)
    assert answers.features()["updates"].readers == 200


@pytest.mark.parametrize(
    ("place", "bad", "good", "said"),
    [
        (0, "My Feature", "mine", "lower-case letters"),
        (1, "perhaps", "yes", "write yes or no"),
        (2, "soon", "5s", "write a number and a unit"),
        (3, "cloud", "serverless", "write serverless, or servers"),
        (4, "-3", "10,000", "write a whole number"),
        (5, "25h/day", "24h/day", "write hours per day"),
        (6, "often", "10/min", "write a number per s"),
        (7, "no idea", "y", "write yes or no"),
    ],
    ids=[question.key for question in QUESTIONS],
)
def test_bad_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch, place: int, bad: str, good: str, said: str) -> None:
    """With a sentence that says what to write, in the syntax of the file."""
    _, shown = asked(monkeypatch, *DEFAULTS[:place], bad, good, *DEFAULTS[place + 1 :])
    assert said in shown
    assert shown.count(QUESTIONS[place].text) == 2


def test_advice_and_table_to_paste() -> None:
    """After the answers; the table is what the advice says, and can be read."""
    result = run(["feed", "n", "1s", "", "500", "24h/day", "1/min", "yes"])
    assert result.exit_code == 0
    assert "SSE on Fargate" in result.stdout
    table = result.stdout[result.stdout.index("[features.feed]") :]
    assert 'pattern   = "sse"\nhost      = "service"' in table
    assert 'access    = { read = "public", publish = "service" }' in table


@pytest.mark.parametrize("place", ["none/features.toml", "."], ids=["missing-folder", "folder"])
def test_place_for_the_table_is_judged_before_the_first_question(tmp_path: Path, place: str) -> None:
    """Eight answers are not thrown away."""
    refused = run([], "--write", tmp_path / place)
    assert (refused.exit_code, "name a file in a folder that is there" in refused.stderr) == (2, True)


@pytest.mark.parametrize("there", [True, False], ids=["file", "folder"])
def test_place_that_may_not_be_written_is_refused_before_the_first_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    """Permission of the file, or of the folder where it would begin."""
    file = tmp_path / "features.toml"
    if there:
        file.write_text("[features.one]\n")
    monkeypatch.setattr("advisor.ask.os.access", lambda path, mode: mode != os.W_OK or path != (file if there else tmp_path))
    refused = run([], "--write", file)
    assert (refused.exit_code, "may not be written: name a file in a folder of yours" in refused.stderr) == (2, True)


def test_serverless_answer_rules_out_fargate() -> None:
    """As --serverless does."""
    found = json.loads(run(["feed", "n", "1s", "serverless", "5", "", "", ""], "--json").stdout)
    assert found["features"]["feed"]["recommended"]["way"] == "websocket"


@pytest.mark.parametrize("latency", ["50ms", "1s", "30s"])
@pytest.mark.parametrize("both", ["yes", "no"])
@pytest.mark.parametrize("servers", ["servers", "serverless"])
def test_table_is_one_that_synth_takes(tmp_path: Path, latency: str, both: str, servers: str) -> None:
    """Whatever is answered."""
    file = tmp_path / "features.toml"
    assert run(["it", both, latency, servers, "20", "1h/day", "1/min", "no"], "--write", file).exit_code == 0
    assert (read(file)["it"].direction == "both") == (both == "yes")


def test_written_after_what_is_there_and_never_over_it(tmp_path: Path) -> None:
    """A second feature follows the first; one of the same name is refused, and the file stays as it was."""
    file = tmp_path / "features.toml"
    run(["one", *DEFAULTS[1:]], "--write", file)
    run(["two", *DEFAULTS[1:]], "--write", file)
    before = file.read_bytes()
    again = run(["one", *DEFAULTS[1:]], "--write", file)
    assert (again.exit_code, list(read(file)), file.read_bytes()) == (2, ["one", "two"], before)
    assert "has a feature one already" in again.stderr


def test_answers_that_end_early() -> None:
    """One sentence, exit 2."""
    result = run(["feed", "n"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "error: the answers ended before the questions" in result.stderr


def test_asked_where_there_is_a_terminal_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --ask; on a pipe it is an error (test_commands.py)."""

    def questions(_: Console) -> Asked:
        raise CommandError("asked")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(commands, "_at_a_terminal", lambda: True)
    monkeypatch.setattr(commands, "ask", questions)
    assert CliRunner().invoke(commands.advise, []).stderr == "error: asked\n"
