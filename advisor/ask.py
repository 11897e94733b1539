"""Questions at the terminal: the guide's four and what costs need, answered in the syntax of features.toml."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.prompt import Prompt

from advisor.given import CommandError
from realtime.features import Features, FeaturesError
from realtime.features_file import FeatureTable, read

YES_NO = {"y": True, "yes": True, "n": False, "no": False}


@dataclass(frozen=True, slots=True)
class Question:
    """`judge` makes the answer's value, or raises `ValueError` with the sentence that says what to write."""

    key: str
    text: str
    default: str
    judge: Callable[[str], Any]


def _name(answer: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", answer, re.ASCII):
        raise ValueError("write up to 32 lower-case letters, digits and hyphens, beginning with a letter")
    return answer


def _yes(answer: str) -> bool:
    if answer.lower() not in YES_NO:
        raise ValueError("write yes or no")
    return YES_NO[answer.lower()]


def _servers(answer: str) -> bool:
    if answer not in ("serverless", "servers"):
        raise ValueError("write serverless, or servers where containers may run as well")
    return answer == "servers"


def _readers(answer: str) -> int:
    digits = answer.replace(",", "")
    if not re.fullmatch(r"[1-9][0-9]{0,8}", digits, re.ASCII):
        raise ValueError("write a whole number from 1 on, as in 200")
    return int(digits)


def _as_in_the_file(key: str) -> Callable[[str], str]:
    """A key of features.toml, judged as the file is."""

    def judge(answer: str) -> str:
        try:
            FeatureTable.model_validate({"name": "asked", key: answer})
        except ValidationError as error:
            raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
        return answer

    return judge


QUESTIONS = (
    Question("name", "What is the feature called?", "updates", _name),
    Question("both", "Must clients send as well as read?", "no", _yes),
    Question("latency", "How late may an event arrive?", "30s", _as_in_the_file("latency")),
    Question("servers", "Which infrastructure is there: serverless only, or servers too?", "servers", _servers),
    Question("readers", "How many readers have it open at once?", "200", _readers),
    Question("open", "For how many hours a day?", "8h/day", _as_in_the_file("open")),
    Question("events", "How many events are there?", "1/min", _as_in_the_file("events")),
    Question("public", "May everybody see it, without a token?", "no", _yes),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """The answers, by key of `QUESTIONS`."""

    answers: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.answers["name"])

    @property
    def servers(self) -> bool:
        """Whether Fargate may be used."""
        return bool(self.answers["servers"])

    def features(self) -> Features:
        """As a file that names no pattern would say it."""
        return read_text(self.table({}))

    def table(self, keys: dict[str, str]) -> str:
        """The table for features.toml, with the keys of a pattern."""
        told = self.answers
        lines = [(key, f'"{value}"') for key, value in keys.items()]
        lines += [("direction", '"both"' if told["both"] else '"down"'), ("latency", f'"{told["latency"]}"')]
        lines += [("readers", f"{told['readers']}"), ("events", f'"{told["events"]}"'), ("open", f'"{told["open"]}"')]
        access = ("public" if told["public"] else "user", "user" if told["both"] else "service")
        lines.append(("access", f'{{ read = "{access[0]}", publish = "{access[1]}" }}'))
        return "\n".join([f"[features.{self.name}]", *(f"{key:<9} = {value}" for key, value in lines)]) + "\n"


def ask(console: Console) -> Asked:
    """All questions; one that is answered wrongly is asked again, with a sentence."""
    try:
        return Asked({question.key: _answer(question, console) for question in QUESTIONS})
    except EOFError:
        raise CommandError("the answers ended before the questions: answer all of them, or name a file") from None


def _answer(question: Question, console: Console) -> Any:
    while True:
        answer = Prompt.ask(question.text, console=console, default=question.default).strip()
        try:
            return question.judge(answer)
        except ValueError as error:
            console.print(f"  {error}", markup=False)


def read_text(text: str) -> Features:
    """The features of a file that is not there yet."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "features.toml"
        path.write_text(text, encoding="utf-8")
        try:
            return read(path)
        except FeaturesError as error:
            raise CommandError(str(error).replace(f"{path}:", "answers:").splitlines()[0]) from None


def check(file: Path) -> None:
    """Whether a table can be appended, before anything is asked."""
    if file.is_dir() or not file.parent.is_dir():
        raise CommandError(f"{file} cannot be written: name a file in a folder that is there, as in --write features.toml")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise CommandError(f"{file} may not be written: name a file in a folder of yours, or leave --write out and paste the table")
    if file.exists():
        read(file)


def append(file: Path, name: str, table: str) -> None:
    """Write the table at the end of a features file, or begin one; a feature of that name that is there is left alone."""
    if file.exists() and name in read(file):
        raise CommandError(f"{file} has a feature {name} already: answer with another name, or edit it there")
    read_text(table)
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    gap = "" if not before else "\n" if before.endswith("\n") else "\n\n"
    file.write_text(f"{before}{gap}{table}", encoding="utf-8")
