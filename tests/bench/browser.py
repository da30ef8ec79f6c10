"""What a browser has laid out of a page, and pictures of it, wide, as on a phone, dark."""

import base64
import json
import re
import struct
from pathlib import Path

from harness.browser import browse
from harness.daemon import ROOT

PHOTOGRAPHS = ROOT / "build/photographs"
WINDOWS = {"wide": (1100, 900), "phone": (390, 844), "dark": (1100, 900)}

# Asks the browser for what it has laid out, and writes the answer where --dump-dom shows it. What is hidden has no box.
ASK = """<script>addEventListener("load", () => {
    const texts = [...document.querySelectorAll("svg text")].filter(text => text.getBoundingClientRect().width > 0);
    const boxes = texts.map(text => [text, text.getBoundingClientRect()]);
    const inside = (a, b) => a.left >= b.left - 1 && a.right <= b.right + 1 && a.top >= b.top - 1 && a.bottom <= b.bottom + 1;
    const over = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 5;
    const paper = getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3);
    const seen = {
        figures: [...document.querySelectorAll("figure")].filter(figure => [...figure.querySelectorAll("svg")].some(
            svg => svg.getBoundingClientRect().width > 300 && svg.getBoundingClientRect().height > 60)).map(f => f.id),
        scrolls: Math.max(0, document.documentElement.scrollWidth - innerWidth)
            + [...document.querySelectorAll(".wide-table")].filter(box => box.scrollWidth > box.clientWidth + 1).length,
        cut: boxes.filter(([text, box]) => !inside(box, text.ownerSVGElement.getBoundingClientRect())).map(([t]) => t.textContent),
        overlapping: boxes.flatMap(([text, box], i) => boxes.slice(i + 1).filter(([other, place]) =>
            other.ownerSVGElement === text.ownerSVGElement && over(box, place)).map(([other]) => text.textContent + " / " + other.textContent)),
        small: boxes.filter(([text, box]) => box.height < 11).map(([text]) => text.textContent),
        luminance: Math.max(...paper.map(Number)), height: document.documentElement.scrollHeight,
    };
    document.body.innerHTML = "<pre>SEEN " + btoa(unescape(encodeURIComponent(JSON.stringify(seen)))) + " END</pre>";
});</script></body>"""


def _run(page, kind, size, *options):
    return browse(page.as_uri(), f"--blink-settings=preferredColorScheme={0 if kind == 'dark' else 1}",
                  f"--window-size={size[0]},{size[1]}", *options)


def look(page, kind):
    """What a window of that KIND shows of PAGE."""
    asking = page.with_suffix(".asking.html")
    asking.write_text(page.read_text().replace("</body>", ASK))
    done = _run(asking, kind, WINDOWS[kind], "--dump-dom")
    found = re.search(r"SEEN (\S*) END", done.stdout)
    assert found, done.stdout[-500:] + done.stderr[-2000:]
    return json.loads(base64.b64decode(found[1]))


def photograph(page, kind, name, height):
    """Takes a picture of all of PAGE, so many pixels, to be looked at: build/photographs/NAME-KIND.png."""
    PHOTOGRAPHS.mkdir(parents=True, exist_ok=True)
    path = PHOTOGRAPHS / f"{name}-{kind}.png"
    path.unlink(missing_ok=True)
    size = WINDOWS[kind][0], min(height + 20, 12000)
    done = _run(page, kind, size, f"--screenshot={path}")
    assert path.exists(), done.stderr[-2000:]
    assert struct.unpack(">II", path.read_bytes()[16:24]) == size
    return Path(path)
