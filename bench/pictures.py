#!/usr/bin/python3
"""Draws the pictures that the documents show, from the runs that are committed: bench/pictures/*.svg.

Usage: pictures.py           draws them
       pictures.py --check   exit status 1 if one is not what its run shows
"""

import sys
from pathlib import Path

import chart
import figures
import report
import stall

PLACE = Path(__file__).resolve().parent
PICTURES = PLACE / "pictures"
PEERS = ("epoll-echo", "epoll", "poll")


def million():
    """What a message costs beside so many idle connections, each point with all its runs."""
    known = figures.read(PLACE / "results/million/results.csv")
    points = sorted((50 + int(load.removeprefix("idle-")), f.median, f.low, f.high)
                    for (_, load, metric), f in known.items()
                    if metric == "cpu_us" and load.startswith("idle-") and "/" not in load)
    axes = chart.Axes("CPU time of the server for a message", "connections open, 50 of them active",
                      [(x, f"{x:,}") for x, *_ in points], lambda us: f"{us:g} µs", log_x=True, log_y=False)
    return chart.curves(axes, [chart.Curve("epoll-echo", "0", points)], False, True)


def drawn():
    """Name and text of each."""
    return {"idle.svg": report.Report(PLACE / "results").idle_picture(False, True, PEERS),
            "flood.svg": report.Report(PLACE / "results/flood").latency_picture("flood", False, True, PEERS),
            "stall.svg": stall.picture(), "million.svg": million()}


def main(words):
    wrong = [name for name, text in drawn().items()
             if not (PICTURES / name).exists() or (PICTURES / name).read_text() != text]
    if words == ["--check"]:
        sys.exit(f"run bench/pictures.py: {', '.join(wrong)}" if wrong else 0)
    if words:
        sys.exit(__doc__)
    PICTURES.mkdir(exist_ok=True)
    for name, text in drawn().items():
        (PICTURES / name).write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
