"""What a rule found."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Finding:
    """Where it is, what breaks and how to mend it; `path` is the construct's, where the template comes from the CDK and tells it."""

    rule: str
    stack: str
    logical_id: str
    path: str | None
    property: str
    breaks: str
    fix: str

    def __str__(self) -> str:
        where = " ".join(filter(None, (self.stack, self.logical_id, self.path and f"({self.path})")))
        return f"{where}: {self.rule}: {self.breaks}. Fix: {self.fix}."

    def as_dict(self) -> dict[str, str | None]:
        return asdict(self)
