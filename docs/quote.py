#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Fills the blocks of the guide from the files that they quote.

    docs/quote.py [--check]

A block follows a directive, and whatever it held before is replaced:

    <!-- quote PATH -->                     the whole file
    <!-- quote PATH /START/ -->             from the first line that matches to the next line `}`
    <!-- quote PATH /START/ /END/ -->       ... to the next line that matches END
    <!-- quote PATH /START/ +N -->          ... and N more lines
    <!-- bench PATH --> ... <!-- end -->    a table of the CSV file, if there is one

With --check nothing is written, and the exit status is 1 if anything would be.
"""
import csv
import re
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GUIDE = ROOT / "docs" / "epoll.md"
BLOCK = re.compile(r"<!-- quote (\S+)(?: /(.*?)/(?: (?:/(.*?)/|\+(\d+)))?)? -->\n```(\w*)\n"
                   r"(.*?)```\n", re.S)
BENCH = re.compile(r"(<!-- bench (\S+) -->\n)(.*?)(<!-- end -->)", re.S)


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


def table(path):
    """One row a server, one column for each load and metric: median (low–high)."""
    cells, servers, columns = defaultdict(dict), [], []
    with open(path) as file:
        for row in csv.DictReader(file):
            server, column = row["server"], f"{row['load']}, {row['metric']}"
            servers += [server] * (server not in servers)
            columns += [column] * (column not in columns)
            cells[server][column] = f"{row['median']} ({row['low']}–{row['high']})"
    lines = ["| server | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    for server in servers:
        lines.append(f"| {server} | "
                     + " | ".join(cells[server].get(column, "") for column in columns) + " |")
    return "\n".join(lines) + "\n"


def bench(match):
    opening, path, _, closing = match.groups()
    return opening + (table(ROOT / path) if (ROOT / path).exists() else "") + closing


def fill(text):
    return BENCH.sub(bench, BLOCK.sub(block, text))


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
