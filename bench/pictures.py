#!/usr/bin/python3
"""Draws the pictures that the documents show, from the runs that are committed: bench/pictures/*.svg.

Usage: pictures.py           draws them
       pictures.py --check   exit status 1 if one is not what its run shows
"""

import sys
from pathlib import Path

import report
import stall

PLACE = Path(__file__).resolve().parent
PICTURES = PLACE / "pictures"
PEERS = ("epoll-echo", "epoll", "poll")


def drawn():
    """Name and text of each."""
    return {"idle.svg": report.Report(PLACE / "results").idle_picture(False, True, PEERS),
            "flood.svg": report.Report(PLACE / "results/flood").latency_picture("flood", False, True, PEERS),
            "stall.svg": stall.picture()}


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
