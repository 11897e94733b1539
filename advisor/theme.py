"""Colours of the figure, on a light and on a dark ground."""

from dataclasses import dataclass

from advisor.ways import Way


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours with a contrast of 4.5 to 1 or more on the ground, apart for the colour-blind, too (after Okabe and Ito)."""

    ground: str
    ink: str
    quiet: str
    grid: str
    band: str
    ways: dict[Way, str]


LIGHT = Theme(
    *("#ffffff", "#1c1f24", "#5d6570", "#e6e8eb", "#eceef1"),
    {
        "polling": "#0061a8",
        "sse-service": "#00734f",
        "sse-lambda": "#8f5d00",
        "websocket": "#bd3b00",
        "appsync": "#96407f",
        "fallback": "#4a4f57",
    },
)
DARK = Theme(
    *("#14171c", "#e9ebee", "#a0a8b3", "#2b3038", "#282e38"),
    {
        "polling": "#62b5f5",
        "sse-service": "#2fc394",
        "sse-lambda": "#e9b044",
        "websocket": "#ff8a5c",
        "appsync": "#dc93c8",
        "fallback": "#c3c8cf",
    },
)
