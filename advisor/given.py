"""What a command is given: a features file, and whether each of its features names its pattern."""

import difflib
import tomllib
from dataclasses import dataclass
from pathlib import Path

from realtime.features import Feature, Features
from realtime.features_file import read

DEFAULT = Path("features.toml")


class CommandError(Exception):
    """What was typed cannot be done; the message is one sentence that says what to type instead."""


@dataclass(frozen=True, slots=True)
class Given:
    """A file's features. `patterned` are those whose table has the key `pattern`: the file decides, and is judged."""

    file: Path | None
    features: Features
    patterned: frozenset[str]

    def feature(self, name: str) -> Feature:
        """The feature of that name."""
        if name in self.features:
            return self.features[name]
        near = difflib.get_close_matches(name, self.features, n=1)
        known = f"did you mean {near[0]}?" if near else f"there are {', '.join(self.features)}"
        raise CommandError(f"{self.file} has no feature {name}: {known}")


def given(file: Path | None) -> Given:
    """The named file, else features.toml of this folder. Raises `FeaturesError` where it is wrong, `CommandError` where none is."""
    path = file or DEFAULT
    if file is None and not path.exists():
        raise CommandError(f"there is no {DEFAULT} in this folder: name a file, or write one with advise --ask --write {DEFAULT}")
    features = read(path)
    tables = tomllib.loads(path.read_text(encoding="utf-8"))["features"]  # read() fills the pattern in where it is left out
    return Given(path, features, frozenset(name for name, table in tables.items() if "pattern" in table))
