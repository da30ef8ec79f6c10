#!/usr/bin/python3
"""Compares the figures quoted in documents with the committed run.

A quote stands between two comments, which a reader of the page does not see:

    <!--bench epoll-echo idle-18000 cpu_us-->4.1<!--/bench-->

The words are the server, load and metric of a line in the CSV; a fourth one, low or high, quotes an
end of the spread instead of the median. A word before them that ends with a slash, here and in a table,
is the folder of bench/results that has the CSV:

    <!--bench million/ epoll-echo answers answered-->1,000,000<!--/bench-->

The figure is right if it is the CSV's, rounded to as many decimals as it has.

A table stands between two comments, the first of which says what is in it: the servers that are its
columns, some with another heading, and a line for each row with load, metric, decimals and heading:

    <!--bench-table epoll-echo, epoll: raw epoll
    tcp-1 cpu_us 1: 1 connection
    -->
    | | epoll-echo | raw epoll |
    ...
    <!--/bench-table-->

What an empty system call cost on that machine stands in a sentence of its own, made from the CSV. It is
empty as long as that was not measured:

    <!--bench-call-->A system call that does nothing took 104 ns there (98 to 131).<!--/bench-call-->

Usage: quotes.py --check FILE...     exit status 1 if a figure is wrong
       quotes.py --update FILE...    writes the right ones, with as many decimals as before
Option: --csv=FILE                   instead of bench/results/results.csv
"""

import argparse
import functools
import re
import sys
from pathlib import Path

import figures
import matrix

QUOTE = re.compile(r"(<!--bench ([^>]*?)-->)(.*?)(<!--/bench-->)", re.S)
OPENING = re.compile(r"<!--\s*bench\b(?!-table|-call)")
TABLE = re.compile(r"(<!--bench-table (.*?)\n(.*?)\n-->\n)(.*?)(<!--/bench-table-->)", re.S)
CALL = re.compile(r"(<!--bench-call-->)(.*?)(<!--/bench-call-->)", re.S)
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


RESULTS = Path(__file__).resolve().parent / "results"


class Wrong(Exception):
    pass


@functools.lru_cache
def folder(name):
    """The figures of a folder of results."""
    try:
        return figures.read(RESULTS / name / "results.csv")
    except OSError as error:
        raise Wrong(f"there are no results in '{name}'") from error


def chosen(known, words):
    """The figures of the folder that WORDS begin with, if they do, and the others."""
    return (folder(words[0][:-1]), words[1:]) if words and words[0].endswith("/") else (known, words)


def right_text(known, words, text):
    """TEXT with the figure that WORDS name, as many decimals as it has now."""
    known, words = chosen(known, words)
    name, part = tuple(words[:3]), words[3] if len(words) == 4 else "median"
    found = NUMBER.findall(text)
    if len(words) not in (3, 4) or part not in ("median", "low", "high"):
        raise Wrong(f"'{' '.join(words)}' is not [FOLDER/] SERVER LOAD METRIC [low|high]")
    if name not in known:
        raise Wrong(f"there is no figure '{' '.join(name)}'")
    if len(found) != 1:
        raise Wrong(f"'{text}' is not one number")
    decimals = len(found[0].partition(".")[2])
    value = f"{getattr(known[name], part):,.{decimals}f}"
    return text.replace(found[0], value if "," in found[0] or "," not in value else value.replace(",", ""))


def table(known, servers, rows):
    """What was not measured is a dash; where that is so of all servers, there is no row, and without rows no table."""
    known, words = chosen(known, servers.split(" "))
    servers = " ".join(words)
    columns = [(server.split(": ") * 2)[:2] for server in servers.split(", ")]
    lines = ["| | " + " | ".join(heading for _, heading in columns) + " |", "| --- |" + " ---: |" * len(columns)]
    for row in rows.splitlines():
        name, heading = row.split(": ", 1)
        load, metric, decimals = name.split()
        found = [known.get((server, load, metric)) for server, _ in columns]
        if not any(found) and not may_be_measured(load, metric):
            raise Wrong(f"there is no figure '{load} {metric}'")
        if not any(found):
            continue
        lines.append(f"| {heading} | " + " | ".join("–" if f is None else f"{f.median:,.{decimals}f}" for f in found) + " |")
    return "\n".join(lines) + "\n" if len(lines) > 2 else ""


def may_be_measured(load, metric):
    """Whether `make bench` yields such a figure, though an older run may lack it."""
    return load in {load.name for load in matrix.LOADS} and metric in {*matrix.METRICS, *matrix.CALLS}


def review(path, known):
    """The text with all quotes right, and what was wrong."""
    text, wrong = path.read_text(), []

    def remake(match):
        try:
            made = table(known, match[2], match[3])
        except (Wrong, ValueError) as error:
            wrong.append(f"{path}: table of {match[2]}: {error}")
            return match[0]
        if made != match[4]:
            wrong.append(f"{path}: the table of {match[2]} is not what was measured")
        return match[1] + made + match[5]

    text, tables = TABLE.subn(remake, text)
    if tables != text.count("<!--bench-table"):
        wrong.append(f"{path}: a table is begun and not ended")

    text, calls = CALL.subn(lambda match: match[1] + figures.call_sentence(known) + match[3], before := text)
    if text != before:
        wrong.append(f"{path}: what an empty system call costs is not what was measured")
    if calls != text.count("<!--bench-call"):
        wrong.append(f"{path}: the cost of a call is begun and not ended")

    def replace(match):
        line = text[:match.start()].count("\n") + 1
        try:
            right = right_text(known, match[2].split(), match[3])
        except Wrong as error:
            wrong.append(f"{path}:{line}: {error}")
            return match[0]
        if right.replace(",", "") != match[3].replace(",", ""):
            wrong.append(f"{path}:{line}: {match[2].strip()} is {right}, not {match[3]}")
            return match[1] + right + match[4]
        return match[0]

    mended, count = QUOTE.subn(replace, text)
    if count != len(OPENING.findall(text)):
        wrong.append(f"{path}: a quote is begun and not ended")
    return mended, wrong, count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true")
    action.add_argument("--update", action="store_true")
    parser.add_argument("--csv", type=Path, default=RESULTS / "results.csv")
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    known, bad, quotes = figures.read(options.csv), 0, 0
    for path in options.files:
        mended, wrong, count = review(path, known)
        quotes += count
        if options.update and mended != path.read_text():
            path.write_text(mended)
        elif wrong:
            print("\n".join(wrong), file=sys.stderr)
            bad += len(wrong)
    print(f"{quotes} quoted figures, {bad} wrong")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
