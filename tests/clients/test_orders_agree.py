"""Two clients, one rule: what JavaScript hands on, Python hands on."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.order import Event, Order, Page
from local.places import ROOT

Told = dict[str, Any]

SEQS, EPOCHS = st.integers(0, 6), st.sampled_from(["a", "b"])
CURSORS = st.builds("{}-{}".format, EPOCHS, SEQS) | st.just("0-0")
FACTS = {"topic": "t", "type": "x", "data": None, "at": "2026-01-01T00:00:00.000Z"}


@st.composite
def events(draw: st.DrawFn) -> list[Told]:
    """A run of one life; some were skipped, as where only the newest is kept."""
    epoch, seqs = draw(EPOCHS), sorted(draw(st.sets(st.integers(1, 6), max_size=4)))
    before = [0, *seqs]
    return [{**FACTS, "epoch": epoch, "seq": seq, "prev": f"{epoch}-{before[n]}"} for n, seq in enumerate(seqs)]


RUNS = st.builds(lambda run, order: [run[n % len(run)] for n in order if run], events(), st.lists(SEQS, max_size=5))
PUSHES = st.tuples(st.just("push"), RUNS)
PAGES = st.tuples(
    st.just("page"),
    st.fixed_dictionaries({"after": st.none() | CURSORS, "cursor": st.none() | CURSORS, "recovered": st.booleans(), "events": events()}),
)


@pytest.fixture(scope="module")
def javascript() -> Iterator[subprocess.Popen[str]]:
    command = ["node", "--no-warnings", str(Path(__file__).parent / "order.mjs")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        yield process
        process.terminate()


def by_python(script: list[tuple[str, Any]]) -> Told:
    order, told = Order(), list[str]()
    for feed, what in script:
        if feed == "push":
            told += [event.cursor for event in order.push(map(Event.of, what))]
        else:
            lost, ready = order.page(Page(what["after"], what["cursor"], what["recovered"], [*map(Event.of, what["events"])]))
            told += ["reset"] * lost + [event.cursor for event in ready]
    return {"told": told, "cursor": order.cursor}


@settings(max_examples=500, deadline=None)
@given(script=st.lists(PUSHES | PAGES, max_size=8))
def test_both_hand_on_the_same(javascript: subprocess.Popen[str], script: list[tuple[str, Any]]) -> None:
    """Whatever comes, in whatever order, true or not."""
    assert javascript.stdin
    assert javascript.stdout
    javascript.stdin.write(json.dumps(script) + "\n")
    assert json.loads(javascript.stdout.readline()) == by_python(script)
