"""A line chart as SVG: axes, lines with markers of their own, and names where the lines end.

Readable in black and white, on any background, and by a screen reader: each line has a name
beside it, and title and description say what the chart shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from bench.plots.scale import Scale

_WIDTH, _HEIGHT = 760, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 206, 54, 56
_COLOURS = ("#0b3d91", "#d55e00", "#009e73", "#b3467d", "#8a6d00", "#0087a8", "#5f5f5f", "#7b3294")
_NAME_GAP = 15
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#222}"
    ".title{font-size:16px;font-weight:600}.grid{stroke:#e2e2e2}.axis{stroke:#777}"
    ".line{fill:none;stroke-width:2}.first{stroke-width:3.5}.name{font-weight:600}"
)
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines by their names over one axis, in the order in which they get their colours.

    ``x_ticks`` are the values that the horizontal axis shows, with what is written there; it is
    logarithmic with ``log_x``, as the vertical one is with ``log_y``.
    """

    title: str
    description: str
    x_label: str
    y_label: str
    lines: Mapping[str, Sequence[Point]]
    x_ticks: Mapping[float, str] = field(default_factory=dict)
    log_x: bool = False
    log_y: bool = False

    def svg(self) -> str:
        """The chart; raises ``ValueError`` where there is nothing to show."""
        if not any(self.lines.values()):
            raise ValueError(f"{self.title}: no points")
        x, y = self._scales()
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
            'aria-labelledby="title desc">',
            f'<title id="title">{escape(self.title)}</title>',
            f'<desc id="desc">{escape(self.description)}</desc>',
            f"<style>{_STYLE}</style>",
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="#fff"/>',
            f'<text class="title" x="{_LEFT}" y="30">{escape(self.title)}</text>',
            *self._axes(x, y),
            *self._drawn(x, y),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def _scales(self) -> tuple[Scale, Scale]:
        points = [point for line in self.lines.values() for point in line]
        xs, ys = [x for x, _ in points], [y for _, y in points]
        along = (_LEFT, _WIDTH - _RIGHT)
        up = (_HEIGHT - _BOTTOM, _TOP)
        return (
            Scale.spread(xs, *along) if self.log_x else Scale.linear(xs, *along),
            Scale.decades(ys, *up) if self.log_y else Scale.linear(ys, *up),
        )

    def _axes(self, x: Scale, y: Scale) -> Iterator[str]:
        for value in y.ticks():
            at = f"{y.at(value):.1f}"
            yield f'<line class="grid" x1="{x.start}" x2="{x.end}" y1="{at}" y2="{at}"/>'
            yield _text(x.start - 8, y.at(value) + 4, _number(value), "end")
        for value, name in self.x_ticks.items():
            at = f"{x.at(value):.1f}"
            yield f'<line class="axis" x1="{at}" x2="{at}" y1="{y.start}" y2="{y.start + 5}"/>'
            yield _text(x.at(value), y.start + 20, name, "middle")
        yield f'<line class="axis" x1="{x.start}" x2="{x.end}" y1="{y.start}" y2="{y.start}"/>'
        yield _text((x.start + x.end) / 2, y.start + 44, self.x_label, "middle")
        yield (
            f'<text text-anchor="middle" transform="translate(18 {(y.start + y.end) / 2}) '
            f'rotate(-90)">{escape(self.y_label)}</text>'
        )

    def _drawn(self, x: Scale, y: Scale) -> Iterator[str]:
        ends = {name: y.at(line[-1][1]) for name, line in self.lines.items()}
        names_at = apart(ends, _NAME_GAP)
        for index, (name, line) in enumerate(self.lines.items()):
            colour = _COLOURS[index % len(_COLOURS)]
            points = [(x.at(value), y.at(height)) for value, height in line]
            path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
            first = "" if index else " first"
            yield f'<polyline class="line{first}" stroke="{colour}" points="{path}"/>'
            yield from (_marker(index, point, colour) for point in points)
            yield (
                f'<line stroke="{colour}" x1="{points[-1][0] + 7:.1f}" y1="{points[-1][1]:.1f}" '
                f'x2="{x.end + 20}" y2="{names_at[name]:.1f}" opacity=".5"/>'
            )
            shown = _text(x.end + 24, names_at[name] + 4, name, "start")
            yield shown.replace("<text", f'<text class="name" style="fill:{colour}"')


def apart(wanted: Mapping[str, float], gap: float) -> dict[str, float]:
    """Heights near those that are wanted, in the same order, each ``gap`` from the next."""
    placed: dict[str, float] = {}
    ranked = sorted(wanted, key=lambda name: wanted[name])
    lowest = float("-inf")
    for name in ranked:
        placed[name] = lowest = max(wanted[name], lowest + gap)
    excess = max(lowest - (_HEIGHT - _BOTTOM), 0) if ranked else 0
    return {name: height - excess for name, height in placed.items()}


def _marker(index: int, at: Point, colour: str) -> str:
    """A circle, square, diamond or triangle, so that colours are not all that differs."""
    x, y = at
    match index % 4:
        case 0:
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"/>'
        case 1:
            return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{colour}"/>'
        case 2:
            corners = [(x, y - 5.5), (x + 5.5, y), (x, y + 5.5), (x - 5.5, y)]
        case _:
            corners = [(x, y - 5), (x + 5, y + 4), (x - 5, y + 4)]
    path = " ".join(f"{px:.1f},{py:.1f}" for px, py in corners)
    return f'<polygon points="{path}" fill="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 or value == 0 else f"{value:g}"
