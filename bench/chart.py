"""Pictures as SVG, and the page that they stand in: nothing but text, which opens offline and alone.

A picture is drawn twice, for wide and for narrow windows, and the page shows the one that fits: what is
scaled down cannot be read. Colours are variables of the style, so that the dark, the light and the
printed page are one text. What a line is stands at its end, not in a legend.
"""

import dataclasses
import html
import math

# Of text and lines, by class; the numbered ones are for what is compared.
STYLE = """
:root { --ink: #1c1c1e; --soft: #636369; --line: #d9d9de; --faint: #a9a9b2; --paper: #ffffff; --panel: #f6f6f8;
  --c0: #b3131f; --c1: #1b5fae; --c2: #1f7a3d; --c3: #8a4fb0; --good: #17702f; --bad: #b00020; --open: #76767e; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececf0; --soft: #a5a5ae; --line: #3a3a42; --faint: #6c6c76;
  --paper: #16161a; --panel: #202026; --c0: #ff6b70; --c1: #6cb2ff; --c2: #5fd18a; --c3: #cf9bf2; --good: #5fd18a;
  --bad: #ff7b85; --open: #9a9aa3; } }
@media print { :root { --ink: #000; --soft: #444; --line: #ccc; --faint: #999; --paper: #fff; --panel: #fff;
  --c0: #b3131f; --c1: #1b5fae; --c2: #1f7a3d; --c3: #8a4fb0; --good: #17702f; --bad: #b00020; --open: #76767e; } }
svg { display: block; width: 100%; height: auto; font: 13px system-ui, sans-serif; }
svg text { fill: var(--soft); } svg .ink { fill: var(--ink); } svg .strong { font-weight: 650; }
svg .grid { stroke: var(--line); stroke-width: 1; } svg .axis { stroke: var(--faint); stroke-width: 1; }
svg .curve { fill: none; stroke-width: 2.2; stroke-linejoin: round; stroke-linecap: round; }
svg .range { stroke-width: 2.2; stroke-linecap: round; } svg .band { opacity: .18; stroke: none; }
""" + "".join(f"svg .s{i} {{ stroke: var(--{name}); }} svg .f{i} {{ fill: var(--{name}); }}\n"
              for i, name in [(0, "c0"), (1, "c1"), (2, "c2"), (3, "c3"), ("g", "faint"), ("o", "open")])

PAGE_STYLE = """
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 58rem;
  margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .75rem; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .25rem; }
p { margin: .5rem 0; } .verdict { font-size: 1.25rem; line-height: 1.4; margin: 0 0 1rem; }
.note { color: var(--soft); font-size: .92rem; } figure { margin: .75rem 0; } figcaption { color: var(--soft); font-size: .92rem; }
.narrow { display: none; } .panel { background: var(--panel); border-radius: .5rem; padding: .6rem .9rem; margin: 1rem 0; }
.panel p { margin: .25rem 0; } .panel ul { margin: .25rem 0; padding-left: 1.2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; font-size: .95rem; margin: .5rem 0; }
th, td { padding: .3rem .5rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th { font-weight: 600; color: var(--soft); } th:first-child, td:first-child, :is(td, th):has(> .words) { text-align: left; }
.spread { color: var(--soft); font-size: .85em; display: block; white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); } .open { color: var(--open); }
.subject { background: var(--panel); font-weight: 600; } .wide-table { overflow-x: auto; }
details { margin: 1rem 0; } summary { cursor: pointer; color: var(--soft); }
code { font-size: .9em; overflow-wrap: anywhere; } .option { white-space: nowrap; } h1, h2, figure, tr { break-inside: avoid; } h2 { break-after: avoid; }
@media (max-width: 40rem) { body { padding: 1rem .75rem 3rem; } .wide { display: none; } .narrow { display: block; }
  table { font-size: .8rem; } th, td { padding: .25rem .2rem; } .spread { white-space: normal; } .verdict { font-size: 1.12rem; } }
@media print { body { max-width: none; padding: 0; } .wide { display: block; } .narrow { display: none; }
  details > * { display: block; } }
"""


def number(value):
    """Three digits are more than such measurements are good for; nothing is written as 1e+05."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def duration(us):
    """A time that is given in microseconds, with the unit that suits it."""
    if us is None:
        return "–"
    for unit, size in (("s", 1e6), ("ms", 1e3), ("µs", 1)):
        if us >= size or size == 1:
            return f"{number(us / size)} {unit}"
    return ""


def tick_of(us):
    """The same for a round number on an axis."""
    for unit, size in (("s", 1e6), ("ms", 1e3), ("µs", 1)):
        if us >= size or size == 1:
            return f"{us / size:g} {unit}"
    return ""


@dataclasses.dataclass
class Scale:
    """From values to pixels."""
    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value):
        low, high = self.low, self.high
        if self.log:
            value, low, high = (math.log10(max(number_, 1e-9)) for number_ in (value, low, high))
        return self.start + (value - low) / ((high - low) or 1) * (self.end - self.start)

    def ticks(self, most):
        """Round values within, MOST of them or about so many."""
        if not self.log:
            step = 10 ** math.floor(math.log10((self.high - self.low or 1) / most))
            step *= next(factor for factor in (1, 2, 5, 10, 20) if (self.high - self.low) / (step * factor) <= most)
            return [round(i * step, 10) for i in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for factors in ((1, 2, 5), (1, 3), (1,)):
            found = [factor * 10.0 ** power for power in powers for factor in factors
                     if self.low <= factor * 10.0 ** power <= self.high * 1.0001]
            if 3 <= len(found) <= most:
                return found
        if len(found) < 3:  # a small part of a power of ten is all but linear
            return [value for value in dataclasses.replace(self, log=False).ticks(most) if value > 0]
        return found[::math.ceil(len(found) / most)]


def around(values, log):
    """The ends of an axis on which VALUES have some air."""
    values = [value for value in values if value is not None and (value > 0 or not log)]
    if not values:
        return (1, 10) if log else (0, 1)
    if log:
        return min(values) / 1.25, max(values) * 1.25
    return 0, max(values) * 1.1 or 1


@dataclasses.dataclass
class Curve:
    name: str
    style: str  # the number of its colour, g for grey
    points: list  # x, y and, if there is a spread, its low and high end


class Svg:
    """Elements of a picture of so many pixels."""

    def __init__(self, width, height):
        self.width, self.height, self.parts = width, height, []

    def add(self, text):
        self.parts.append(text)

    def line(self, x1, y1, x2, y2, kind):
        self.add(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>')

    def text(self, x, y, words, kind="", anchor="start"):
        self.add(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{html.escape(words)}</text>')

    def dot(self, x, y, kind, radius=4):
        self.add(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" class="{kind}"/>')

    def curve(self, points, kind):
        self.add('<path d="M' + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + f'" class="curve {kind}"/>')

    def area(self, upper, lower, kind):
        self.add('<path d="M' + "L".join(f"{x:.1f} {y:.1f}" for x, y in [*upper, *reversed(lower)])
                 + f'Z" class="band {kind}"/>')

    def finish(self, label, alone=False):
        """ALONE, it brings its colours, and a ground that they stand out from."""
        inner = f'<style>{STYLE}</style><rect width="100%" height="100%" fill="var(--paper)"/>' if alone else ""
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" role="img" '
                f'aria-label="{html.escape(label, quote=True)}">{inner}' + "".join(self.parts) + "</svg>")


def spread_out(wanted, gap, least):
    """Heights for labels, as near to those that are WANTED as a distance of GAP allows, in their order, and
    none less than LEAST."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = [wanted[i] for i in order]
    for _ in range(60):
        for i in range(1, len(placed)):
            lack = gap - (placed[i] - placed[i - 1])
            if lack > 0:
                placed[i - 1] -= lack / 2
                placed[i] += lack / 2
    return {i: max(at, least + gap * place) for place, (i, at) in enumerate(zip(order, placed))}


@dataclasses.dataclass
class Axes:
    """What a picture of curves shows: how to label it, and where its axes are round."""
    title: str  # of the vertical axis, which stands above it
    x_title: str
    x_ticks: list  # value and label
    y_tick: object  # label of a value
    log_x: bool = False
    log_y: bool = True
    x_range: tuple = None


def curves(axes, all_curves, narrow, alone=False):
    """Lines with bands, each with its name at its end."""
    width, height = (380, 340) if narrow else (860, 400)
    right = 14 + 8.3 * max((len(curve.name) for curve in all_curves), default=0)
    svg, left, top, bottom = Svg(width, height), 62, 30, 44
    values = [value for curve in all_curves for point in curve.points for value in point[1:] if value is not None]
    x_values = [point[0] for curve in all_curves for point in curve.points]
    x_low, x_high = axes.x_range or (min(x_values), max(x_values))
    x = Scale(x_low, x_high, left, width - right, axes.log_x)
    y = Scale(*around(values, axes.log_y), height - bottom, top, axes.log_y)
    for value in y.ticks(5 if narrow else 7):
        svg.line(left, y(value), width - right, y(value), "grid")
        svg.text(left - 8, y(value) + 4, axes.y_tick(value), anchor="end")
    last = -math.inf
    for value, label in axes.x_ticks:
        if x_low <= value <= x_high and x(value) - last > 9 * len(label) - 2:
            svg.text(min(x(value), width - 4 * len(label) - 4), height - bottom + 20, label, anchor="middle")
            svg.line(x(value), height - bottom, x(value), height - bottom + 5, "axis")
            last = x(value)
    svg.line(left, height - bottom, width - right, height - bottom, "axis")
    svg.text(4, 16, axes.title, "ink")
    svg.text((left + width - right) / 2, height - 6, axes.x_title, anchor="middle")
    for curve in all_curves:
        if curve.style != "g" and curve.points and len(curve.points[0]) == 4:
            svg.area([(x(p[0]), y(p[3])) for p in curve.points], [(x(p[0]), y(p[2])) for p in curve.points],
                     f"f{curve.style}")
    ends = [y(curve.points[-1][1]) for curve in all_curves]
    heights = spread_out(ends, 15, top)
    # Grey lies below the others, and the first colour on top.
    for i, curve in sorted(enumerate(all_curves), key=lambda pair: (pair[1].style != "g", pair[1].style == "0")):
        points = [(x(p[0]), y(p[1])) for p in curve.points]
        svg.curve(points, f"s{curve.style}")
        if len(points) < 12:
            for at in points:
                svg.dot(*at, f"f{curve.style}", 3)
        kind = "" if curve.style == "g" else f"f{curve.style} strong"
        svg.text(width - right + 8, heights[i] + 4, curve.name, kind)
    return svg.finish(axes.title, alone)


@dataclasses.dataclass
class Row:
    name: str
    style: str
    value: float  # None: not measured
    low: float = None
    high: float = None
    words: str = ""  # beside it


def rows(title, all_rows, label, narrow, log=True, mark=None):
    """A dot with its range for each row: on a logarithmic axis a bar would begin nowhere. What is 0 stands left
    of the axis. MARK is a value with a line of its own."""
    width, each = (380, 30) if narrow else (860, 28)
    names = 12 + (7.4 if narrow else 7.8) * max(len(row.name) for row in all_rows)
    words = 14 + 7.6 * max(len(row.words) for row in all_rows)
    svg = Svg(width, 66 + each * len(all_rows))
    known = [value for row in all_rows for value in (row.value, row.low, row.high) if value is not None]
    zero = 34 if log and any(value == 0 for value in known) else 0
    low, high = around(known + ([mark] if mark else []), log)
    x, foot = Scale(low, high, names + zero + 8, width - words - 8, log), 34 + each * len(all_rows)

    def place(value):
        return names + 8 if log and value <= 0 else x(value)

    svg.text(4, 16, title, "ink")
    last = -math.inf
    for value in x.ticks(4 if narrow else 8):
        svg.line(x(value), 28, x(value), foot, "grid")
        if x(value) - last > 7.5 * len(label(value)) + 6:
            svg.text(x(value), foot + 18, label(value), anchor="middle")
            last = x(value)
    if zero:
        svg.line(names + 8, 28, names + 8, foot, "grid")
        svg.text(names + 8, foot + 18, "0", anchor="middle")
    if mark:
        svg.line(x(mark), 28, x(mark), foot, "axis")
    for i, row in enumerate(all_rows):
        at, kind = 34 + each * (i + 0.5), "" if row.style in "go" else f"f{row.style} strong"
        svg.text(4, at + 4, row.name, kind or "ink")
        if row.value is None:
            svg.text(names + 8, at + 4, "not measured")
            continue
        if row.low is not None:
            svg.line(place(row.low), at, place(row.high), at, f"range s{row.style}")
        svg.dot(place(row.value), at, f"f{row.style}", 5)
        svg.text(width - words + 4, at + 4, row.words, kind)
    return svg.finish(title)


def both(draw, name, caption):
    """DRAW(narrow) as a figure of the page that shows the one or the other."""
    return (f'<figure id="{name}"><div class="wide">{draw(False)}</div><div class="narrow">{draw(True)}</div>'
            f"<figcaption>{caption}</figcaption></figure>")


def table(head, body, kinds=()):
    """Rows of cells that are HTML already. KINDS are the classes of the rows."""
    cells = "".join(f"<th>{cell}</th>" for cell in head)
    lines = ["<tr><td>" + "</td><td>".join(row) + "</td></tr>" for row in body]
    for i, kind in enumerate(kinds):
        if kind:
            lines[i] = lines[i].replace("<tr>", f'<tr class="{kind}">', 1)
    return f'<div class="wide-table"><table><tr>{cells}</tr>' + "".join(lines) + "</table></div>"


def page(title, parts):
    return ("<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><meta name='color-scheme' content='light dark'>"
            f"<meta name='viewport' content='width=device-width, initial-scale=1'><title>{html.escape(title)}</title>"
            f"<style>{STYLE}{PAGE_STYLE}</style></head><body>\n" + "\n".join(part for part in parts if part)
            + "\n</body></html>\n")
