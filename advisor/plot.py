"""The figure of `cost --plot`: monthly cost against readers, a line a way, crossovers marked, the guide's band behind."""

from math import floor, log, log10
from pathlib import Path
from typing import TYPE_CHECKING, Any

from advisor import words
from advisor.advice import spell
from advisor.bills import MANAGED_CONNECTIONS, MANAGED_EUR, dates
from advisor.curves import MOST_READERS, Crossing, Curve
from advisor.given import CommandError
from advisor.load import DAYS, Load
from advisor.theme import DARK, LIGHT, Theme
from advisor.ways import NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".svg", ".png")
INCHES, DPI = (9.6, 6.2), 160
LEAST_USD, HEADROOM = 0.1, 3.0
"""What costs less than ten cents is not drawn; above the dearest line, without SSE from Lambda, which leaves through the top."""
FAR_RIGHT = 5_000
"""From so many readers on, the text of a crossing stands left of it."""
LINE_SHARE = 0.052
"""Of the axes' height: what a line of text takes."""


def check(path: Path) -> None:
    """Whether it can be drawn, before anything is computed."""
    if path.suffix.lower() not in SUFFIXES:
        raise CommandError(f"{path} is no figure that can be written: name a file that ends in {' or '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise CommandError(f"there is no folder {path.parent}: make it first")
    try:
        import matplotlib as mpl  # noqa: F401, PLC0415 - only who plots needs it
    except ImportError:
        raise CommandError('a figure needs matplotlib: pip install "realtime-blueprints[plot]"') from None


def draw(path: Path, name: str, load: Load, lines: list[Curve], crossings: list[Crossing], region: str, *, dark: bool = False) -> None:
    """Write the figure; `load` is what it assumes of everything but the readers."""
    from matplotlib import rc_context  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    theme = DARK if dark else LIGHT
    fonts = ["Helvetica Neue", "Helvetica", "Arial", "Liberation Sans", "DejaVu Sans", "sans-serif"]
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "cost", "font.family": "sans-serif", "font.sans-serif": fonts}):
        figure = Figure(figsize=INCHES, facecolor=theme.ground)
        axes = figure.add_axes((0.075, 0.10, 0.745, 0.70))
        figure.text(0.02, 0.945, title(name, load), size=15, weight="bold", color=theme.ink)
        figure.text(0.02, 0.925, assumed(load, region), size=9.5, color=theme.quiet, va="top", linespacing=1.5)
        _frame(axes, theme, lines)
        _band(axes, theme)
        for line in lines:
            _line(axes, line, theme)
        _labels(axes, lines, theme)
        _crossings(axes, crossings, theme)
        metadata: dict[str, Any] = {"Date": None} if path.suffix.lower() == ".svg" else {}
        figure.savefig(path, dpi=DPI, facecolor=theme.ground, metadata=metadata)


def title(name: str, load: Load) -> str:
    """What of the load decides."""
    return f"{name}: seen within {spell(load.latency)}, open {load.hours:g} h a day"


def assumed(load: Load, region: str) -> str:
    """What else the figure assumes, in two lines under its title."""
    way = "both ways" if load.two_way else "public" if load.public else "not public"
    first = f"events {words.events(load.events)}, {load.bytes} bytes each, {way}; {DAYS} days, list prices of {region}, {dates()}"
    low, high = MANAGED_EUR
    band = f"band: the guide's {low:.0f}-{high:.0f} EUR a month for {MANAGED_CONNECTIONS:,} connections, drawn as USD"
    return f"{first}\n{band}; dotted: more than the deployment takes"


def _frame(axes: "Axes", theme: Theme, lines: list[Curve]) -> None:
    """Two logarithmic axes with figures that people read, and nothing else."""
    from matplotlib.ticker import FuncFormatter, NullLocator  # noqa: PLC0415

    top = max(line.usd[-1] for line in lines if line.way != "sse-lambda") * HEADROOM
    least = max(LEAST_USD, 10 ** floor(log10(min(line.usd[0] for line in lines))))
    axes.set(xscale="log", yscale="log", xlim=(1, MOST_READERS), ylim=(least, max(top, 1_000)), facecolor=theme.ground)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:.2f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.tick_params(length=0, labelsize=9.5, labelcolor=theme.quiet, pad=6)
    axes.grid(visible=True, axis="y", color=theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("readers who have it open at once", size=9.5, color=theme.quiet, labelpad=6)
    axes.set_title("USD a month", size=9.5, color=theme.quiet, loc="left", x=-0.075, pad=14)


def _band(axes: "Axes", theme: Theme) -> None:
    ends = [1, MOST_READERS]
    low, high = ([amount * end / MANAGED_CONNECTIONS for end in ends] for amount in MANAGED_EUR)
    axes.fill_between(ends, low, high, color=theme.band, linewidth=0, zorder=0.5)


def _line(axes: "Axes", line: Curve, theme: Theme) -> None:
    """Whole as far as the deployment goes, dotted from there on."""
    colour = theme.ways[line.way]
    limit = line.works.index(False) if False in line.works else len(line.works)
    axes.plot(line.readers[:limit], line.usd[:limit], color=colour, linewidth=2.2, solid_capstyle="round")
    beyond = max(0, limit - 1)
    axes.plot(line.readers[beyond:], line.usd[beyond:], color=colour, linewidth=1.6, linestyle=(0, (1, 1.6)))


def _labels(axes: "Axes", lines: list[Curve], theme: Theme) -> None:
    """Each way's name at the end of its line; those that would overlap are moved apart."""
    low, high = axes.get_ylim()
    at = [(_share(line.usd[-1], low, high), NAMES[line.way], theme.ways[line.way]) for line in lines if line.usd[-1] <= high]
    middle = (MANAGED_EUR[0] * MANAGED_EUR[1]) ** 0.5 * MOST_READERS / MANAGED_CONNECTIONS
    at.append((_share(middle, low, high), "managed service", theme.quiet))
    for height, (_, name, colour) in zip(apart([each[0] for each in sorted(at)], LINE_SHARE), sorted(at), strict=True):
        weight = "normal" if colour == theme.quiet else "bold"
        axes.text(1.012, height, name, color=colour, size=10, weight=weight, va="center", transform=axes.transAxes)
    for line in lines:
        if line.usd[-1] > high:
            leaves = next(number for number, usd in zip(line.readers, line.usd, strict=True) if usd > high)
            text: dict[str, Any] = {"size": 10, "weight": "bold", "color": theme.ways[line.way], "ha": "center", "annotation_clip": False}
            axes.annotate(NAMES[line.way], (leaves, high), xytext=(0, 4), textcoords="offset points", **text)


def _share(usd: float, low: float, high: float) -> float:
    """The height of an amount, 0 to 1."""
    return log(max(usd, low) / low) / log(high / low)


def apart(heights: list[float], gap: float) -> list[float]:
    """Sorted heights moved as little as keeps each `gap` above the one before: groups that touch spread around their middle."""
    groups: list[list[float]] = []
    for height in heights:
        groups.append([height])
        while len(groups) > 1 and _bottom(groups[-1], gap) < _bottom(groups[-2], gap) + len(groups[-2]) * gap:
            groups[-2:] = [groups[-2] + groups[-1]]
    return [_bottom(group, gap) + place * gap for group in groups for place in range(len(group))]


def _bottom(group: list[float], gap: float) -> float:
    return sum(group) / len(group) - (len(group) - 1) * gap / 2


def _crossings(axes: "Axes", crossings: list[Crossing], theme: Theme) -> None:
    """A dot where two ways cost the same, and below it from how many readers on which is cheaper; the left-most hangs lowest."""
    low, high = axes.get_ylim()
    dot: dict[str, Any] = {"marker": "o", "markersize": 6, "markeredgewidth": 1.4, "color": theme.ground, "markeredgecolor": theme.ink}
    ground: dict[str, Any] = {"facecolor": theme.ground, "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
    for place, found in enumerate(crossings):
        height = low * (high / low) ** (0.04 + LINE_SHARE * place)
        axes.plot([found.readers] * 2, [height, found.usd], color=theme.ink, linewidth=0.7, zorder=4)
        axes.plot([found.readers], [found.usd], zorder=5, **dot)
        left, side = (5, "left") if found.readers < FAR_RIGHT else (-5, "right")
        text: dict[str, Any] = {"size": 9, "color": theme.ink, "ha": side, "zorder": 6, "bbox": ground}
        axes.annotate(crossing_text(found), (found.readers, height), xytext=(left, -3), textcoords="offset points", **text)


def crossing_text(found: Crossing) -> str:
    """As in "from 1,972: SSE on Fargate costs less than polling"."""
    return f"from {found.readers:,}: {NAMES[found.then]} costs less than {NAMES[found.now]}"
