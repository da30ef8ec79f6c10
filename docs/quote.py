#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Fills the blocks of the guide from the files that they quote.

    docs/quote.py [--check]

A block follows a directive, and whatever it held before is replaced:

    <!-- quote PATH -->                     the whole file
    <!-- quote PATH /START/ -->             from the first line that matches to the next line `}`
    <!-- quote PATH /START/ /END/ -->       ... to the next line that matches END
    <!-- quote PATH /START/ +N -->          ... and N more lines

A table of the figures of `make bench` stands between two, and is empty as long as there are none:

    <!-- figures PATH SERVER...
    LOAD METRIC: TITLE OF THE COLUMN
    -->
    <!-- end -->

With --check nothing is written, and the exit status is 1 if anything would be.
"""
import csv
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GUIDE = ROOT / "docs" / "epoll.md"
BLOCK = re.compile(r"<!-- quote (\S+)(?: /(.*?)/(?: (?:/(.*?)/|\+(\d+)))?)? -->\n```(\w*)\n"
                   r"(.*?)```\n", re.S)
FIGURES = re.compile(r"(<!-- figures (\S+) (.*?)\n(.*?)\n-->\n)(.*?)(<!-- end -->)", re.S)


def quoted(path, start, end, more):
    lines = (ROOT / path).read_text().splitlines(keepends=True)
    if start is None:
        return "".join(lines)
    first = next((i for i, line in enumerate(lines) if re.search(start, line)), None)
    if first is None:
        raise SystemExit(f"{path}: nothing matches /{start}/")
    if more is not None:
        return "".join(lines[first:first + int(more) + 1])
    for last in range(first + (end is None), len(lines)):
        if re.search(end or r"^}$", lines[last]) and (last > first or end is not None):
            return "".join(lines[first:last + 1])
    raise SystemExit(f"{path}: nothing after /{start}/ matches /{end}/")


def block(match):
    path, start, end, more, language, _ = match.groups()
    directive = match.group(0).split("\n", 1)[0]
    return f"{directive}\n```{language}\n{quoted(path, start, end, more)}```\n"


def table(path, servers, columns):
    """A row for each server, a column for each "LOAD METRIC: TITLE": median (low–high). Below it, if it was
    measured, what a system call costs there."""
    with open(path) as file:
        rows = {(row["server"], row["load"], row["metric"]): row for row in csv.DictReader(file)}
    columns = [line.split(": ", 1) for line in columns]
    lines = ["| | " + " | ".join(title for _, title in columns) + " |",
             "| --- |" + " ---: |" * len(columns)]
    for server in servers:
        cells = []
        for name, _ in columns:
            row = rows.get((server, *name.split()))
            cells.append("–" if row is None else
                         f"{short(row['median'])} ({short(row['low'])}–{short(row['high'])})")
        lines.append(f"| {server} | " + " | ".join(cells) + " |")
    if call := rows.get(("machine", "all", "call_ns")):
        lines += ["", f"A system call that does nothing took {short(call['median'])} ns there."]
    return "\n".join(lines) + "\n"


def short(number):
    """Three digits are more than such a measurement is good for."""
    value = float(f"{float(number):.3g}")
    return f"{value:,.0f}" if value >= 100 else f"{value:g}"


def figures(match):
    opening, path, servers, columns, _, closing = match.groups()
    made = table(ROOT / path, servers.split(), columns.splitlines()) if (ROOT / path).exists() else ""
    return opening + made + closing


def fill(text):
    return FIGURES.sub(figures, BLOCK.sub(block, text))


def unquoted(text):
    """Blocks that come from no file: the lines where they begin."""
    covered = {match.start() + match.group(0).index("```") for match in BLOCK.finditer(text)}
    fences = [match.start() for match in re.finditer(r"(?m)^```", text)][::2]
    return [text.count("\n", 0, fence) + 1 for fence in fences if fence not in covered]


def main():
    text = GUIDE.read_text()
    filled = fill(text)
    if sys.argv[1:] == ["--check"]:
        sys.exit(filled != text and f"{GUIDE}: differs from what it quotes")
    GUIDE.write_text(filled)


if __name__ == "__main__":
    main()
