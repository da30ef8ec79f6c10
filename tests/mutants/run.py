#!/usr/bin/python3
"""The test of the tests: makes mutants of src/ and sees whether a unit test or the simulation fails.

    run.py [--sample N] [FILE...]      FILE is below src/

A mutant that both let pass has survived: it stands in survivors.toml with a reason, or this fails. It
fails as well if fewer than 95 % are killed in a folder's files of SCORED, survivors with a reason being
survivors. Not counted is what does not compile and what makes the same object as the original.

--sample tries N that have no reason, of each .c file the same number: those with the smallest ids, so
that the sample of a function stays the same as long as the function does.

Which commands build what make says (make -n), so that no name of the daemon's stands here.
"""

import argparse
import collections
import itertools
import os
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from mutate import bare, mutants_of

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path("build/mutants")
BASE = BUILD / "base"
# The simulation and the unit tests share the daemon's objects. Fortified calls have other names,
# which could not be simulated.
MAKE = ["make", f"B={BASE}", f"SIM_B={BASE}", "FORTIFY=", "CFLAGS=-O2", "SIM_OPTIMIZE=-O2",
        "ENABLE_SYSTEMD=1", f"{BASE}/sim", "unit-programs"]  # fmt: skip
SEEDS = ["1-300", "301-2500"]
SCORED = ("src/core", "src/roles", "src/transport")
LEAST = 95.0
# So many times longer than the original, and seconds more, and a mutant hangs.
PATIENCE, GRACE_SECONDS = 8, 4
MEMORY_MAX_BYTES = 4 << 30
TELL_EVERY = 250


class Step(NamedTuple):
    """A program that has to pass, with the objects that it is linked of."""

    program: str
    link: list
    arguments: list
    objects: list
    seconds: float


class Result(NamedTuple):
    mutant: object
    fate: str  # killed, survived, invalid, same
    by: str


def environment():
    return {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}


def call(words, seconds=600.0):
    """The exit status; -1 if it took too long. What it leaves running ends with it."""
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               cwd=ROOT, start_new_session=True)  # fmt: skip
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return -1
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def after(words, option):
    return words[words.index(option) + 1]


class Build:
    """The original, and the commands that it is made by."""

    def __init__(self):
        subprocess.run([*MAKE, "-s", f"-j{os.cpu_count()}"], cwd=ROOT, env=environment(), check=True)
        said = subprocess.run([*MAKE, "-n", "-B"], cwd=ROOT, env=environment(), check=True, stdout=subprocess.PIPE,
                              text=True).stdout  # fmt: skip
        self.compile = {}  # by object
        archives, links = {}, {}
        for line in said.splitlines():
            words = shlex.split(line) if " -o " in line or " rcs " in line else []
            if "-c" in words:
                self.compile[after(words, "-o")] = [word for word in words if word not in ("-MMD", "-MP")]
            elif "rcs" in words:
                archives[after(words, "rcs")] = words[words.index("rcs") + 2 :]
            elif "-o" in words:
                links[after(words, "-o")] = words
        self.needs = {name: self.sources(name) for name in self.compile}
        self.original = {name: (ROOT / name).read_bytes() for name in self.compile}
        simulation = f"{BASE}/sim"
        steps = [self.step(name, link, [], archives) for name, link in links.items() if name != simulation]
        steps.sort(key=lambda step: step.seconds)
        steps += [self.step(simulation, links[simulation], ["--jobs", "1", "--seeds", seeds], {}) for seeds in SEEDS]
        self.steps = steps

    def sources(self, name):
        """What an object is made of: the compiler has said so."""
        return set((ROOT / name).with_suffix(".d").read_text().split(":")[1].replace("\\\n", " ").split())

    def step(self, program, link, arguments, archives):
        """Takes the objects out of archives that a program needs, as the linker did."""
        for archive, members in archives.items():
            if archive in link:
                with tempfile.TemporaryDirectory(dir=ROOT / BUILD) as directory:
                    # Thin, for then the linker's map has the members' whole names.
                    thin = f"{directory}/thin.a"
                    subprocess.run(["ar", "rcT", thin, *(f"{ROOT}/{member}" for member in members)], check=True)
                    words = [thin if word == archive else word for word in link] + [f"-Wl,-Map={directory}/map"]
                    words[words.index("-o") + 1] = f"{directory}/program"
                    subprocess.run(words, cwd=ROOT, check=True)
                    told = Path(directory, "map").read_text()
                used = [member for member in members if f"{ROOT}/{member}" in told]
                at = link.index(archive)
                link = link[:at] + used + link[at + 1 :]
        begin = time.monotonic()
        if call([program, *arguments]) != 0:
            sys.exit(f"mutants: {program} fails without a mutant")
        objects = [word for word in link if word in self.compile]
        return Step(program, link, arguments, objects, time.monotonic() - begin)

    def compile_mutant(self, mutant, work):
        """The objects that differ from the original's, in WORK; None if one does not compile."""
        changed = {}
        (work / mutant.file).parent.mkdir(parents=True, exist_ok=True)
        (work / mutant.file).write_text(mutant.text)
        try:
            for name in [name for name, files in self.needs.items() if mutant.file in files]:
                made = work / f"{len(changed)}.o"
                words = [str(work / word) if word == mutant.file else word for word in self.compile[name]]
                words[words.index("-o") + 1] = str(made)
                # A changed header is found before its original.
                words[1:1] = ["-Werror=return-type", f"-fmacro-prefix-map={work}/=", f"-I{work}/src"]
                if call(words) != 0:
                    return None
                if made.read_bytes() != self.original[name]:
                    changed[name] = str(made)
        finally:
            (work / mutant.file).unlink()
        return changed

    def attempt(self, mutant, work):
        changed = self.compile_mutant(mutant, work)
        if not changed:
            return Result(mutant, "invalid" if changed is None else "same", "")
        linked = None
        for step in self.steps:
            if not set(step.objects) & changed.keys():
                continue
            program = str(work / "program")
            if linked != step.program:
                words = [changed.get(word, word) for word in step.link]
                words[words.index("-o") + 1] = program
                if call(words) != 0:
                    return Result(mutant, "invalid", "")
                linked = step.program
            if call([program, *step.arguments], PATIENCE * step.seconds + GRACE_SECONDS) != 0:
                return Result(mutant, "killed", f"{Path(step.program).name} {' '.join(step.arguments[3:])}".strip())
        return Result(mutant, "survived", "")


def try_all(build, mutants, tell):
    """The results, in the mutants' order; as many at a time as there are processors."""
    mine = threading.local()
    done = itertools.count(1)

    def one(mutant):
        if not hasattr(mine, "work"):
            mine.work = BUILD / f"work-{threading.get_native_id()}"
        result = build.attempt(mutant, mine.work)
        tell(result)
        if (number := next(done)) % TELL_EVERY == 0:
            print(f"mutants: {number} of {len(mutants)}", flush=True)
        return result

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, mutants))


class Reasons:
    """survivors.toml."""

    def __init__(self):
        entries = tomllib.loads(Path(__file__).with_name("survivors.toml").read_text()).get("survivor", [])
        self.entries = [(entry["file"], entry.get("change"), entry["why"]) for entry in entries]
        self.used = set()

    def has(self, mutant):
        for number, (file, change, _) in enumerate(self.entries):
            if file == mutant.file and (change is None or bare(change) == bare(mutant.change)):
                self.used.add(number)
                return True
        return False

    def unused(self):
        return [entry for number, entry in enumerate(self.entries) if number not in self.used]


def sampled(build, mutants, count, tell):
    """Tries mutants, one of each file and then the next of each, until COUNT were worth counting."""
    files = collections.defaultdict(list)
    for mutant in sorted(mutants, key=lambda mutant: mutant.id):
        files[mutant.file].append(mutant)
    ranked = [(rank, mutant) for of_file in files.values() for rank, mutant in enumerate(of_file)]
    ranked.sort(key=lambda pair: (pair[0], pair[1].id))
    queue = [mutant for _, mutant in ranked]
    results, counted = [], 0
    while queue and counted < count:
        some, queue = queue[: count - counted], queue[count - counted :]
        results += try_all(build, some, tell)
        counted = sum(result.fate in ("killed", "survived") for result in results)
    return results


def folder(mutant):
    return str(Path(mutant.file).parent)


def percent(count):
    return 100.0 * count["killed"] / max(count["killed"] + count["survived"], 1)


def show(mutant):
    return f"{mutant.file}: {mutant.function or 'outside functions'}: {mutant.kind}: {mutant.change}"


def scores(results, reasons):
    """The table, and the score that has to be reached."""
    counts = collections.defaultdict(collections.Counter)
    for result in results:
        names = [folder(result.mutant), "all"]
        if names[0].startswith(SCORED):
            names.append("scored")
        for name in names:
            counts[name][result.fate] += 1
            if result.fate == "survived":
                counts[name]["explained"] += reasons.has(result.mutant)
                counts[name]["log"] += result.mutant.kind == "log"
    rows = [f"{'':16}{'killed':>8}{'survived':>10}{'explained':>11}{'log':>6}{'score':>9}{'invalid':>10}{'same':>7}"]
    for name in [*sorted(counts.keys() - {"all", "scored"}), "scored", "all"]:
        count = counts[name]
        rows.append(f"{name:16}{count['killed']:>8}{count['survived']:>10}{count['explained']:>11}{count['log']:>6}"
                    f"{percent(count):>7.1f} %{count['invalid']:>10}{count['same']:>7}")  # fmt: skip
    return rows, percent(counts["scored"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", type=int)
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    os.chdir(ROOT)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX_BYTES, MEMORY_MAX_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    reasons = Reasons()
    build = Build()
    files = options.files or sorted(str(path) for path in Path("src").rglob("*.[ch]"))
    mutants = [mutant for file in files for mutant in mutants_of(ROOT, file)]

    def tell(result):
        if result.fate == "survived" and not reasons.has(result.mutant):
            print(f"survived: {show(result.mutant)}", flush=True)

    if options.sample:
        results = sampled(build, [m for m in mutants if m.file.endswith(".c") and not reasons.has(m)], options.sample,
                          tell)  # fmt: skip
    else:
        results = try_all(build, mutants, tell)
    unexplained = [r.mutant for r in results if r.fate == "survived" and not reasons.has(r.mutant)]
    rows, score = scores(results, reasons)
    faults = [f"unexplained: {show(mutant)}" for mutant in unexplained]
    if not options.sample and not options.files:
        faults += [f"explained, but killed or gone: {file}: {change}" for file, change, _ in reasons.unused()]
        if score < LEAST:
            faults.append(f"the score of {', '.join(SCORED)} is {score:.1f} %, not {LEAST} %")
    name = "sample" if options.sample else "some" if options.files else "score"
    Path(BUILD / f"{name}.txt").write_text("\n".join([*rows, "", *faults, ""]))
    Path(BUILD / f"{name}.tsv").write_text(
        "".join("\t".join((r.fate, r.by, r.mutant.id, *r.mutant[:4])) + "\n" for r in results)
    )
    print("\n".join([*rows, *(fault for fault in faults if not fault.startswith("unexplained"))]))
    print(f"mutants: {len(unexplained)} unexplained; see {BUILD}/{name}.txt and {name}.tsv")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
