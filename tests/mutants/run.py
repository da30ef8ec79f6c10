#!/usr/bin/python3
"""The test of the tests: makes mutants of src/ and sees whether a unit test or the simulation fails.

    run.py [--sample N] [FILE...]      FILE is below src/

A mutant that all let pass has survived: it stands in survivors.toml with a reason, or this fails. It
fails as well if fewer than 95 % are killed, survivors with a reason being survivors. That is so for the
folders of SCORED; those of the rest of src/, which tests of the whole program hold, are only told, and
the sample leaves them out. Not counted is what does not compile and what makes the same object as the original.

--sample tries N of those that have no reason, of each .c file the same number: those with the smallest
ids, so that the sample of a function stays the same as long as the function does.

Which commands build what make says (make -n), so that no name of the daemon's stands here.
"""

import argparse
import collections
import itertools
import os
import re
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

from mutate import Mutant, bare, mutants_of

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path("build/mutants")
# Flags, and what the simulation runs. What the first lets pass, the second looks at more closely.
BUILDS = {
    "plain": ("-O2 -U_FORTIFY_SOURCE", ["1-300", "301-2500", "2501-8000"]),
    "sanitized": ("-O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all", ["1-300"]),
}
SCORED = ("src/core", "src/roles", "src/transport")
LEAST_PERCENT = 95.0
# A mutant that takes so many times longer than the original, and seconds more, hangs.
PATIENCE, GRACE_SECONDS = 8, 4
MEMORY = {"plain": ["prlimit", "--core=0", f"--as={4 << 30}"], "sanitized": ["prlimit", "--core=0"]}
TELL_EVERY = 250
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
ENVIRONMENT["ASAN_OPTIONS"] = "hard_rss_limit_mb=4096"


class Step(NamedTuple):
    """A program that has to pass, and the objects that it is linked of."""

    program: str
    link: list
    arguments: list
    objects: set
    seconds: float


class Result(NamedTuple):
    mutant: Mutant
    fate: str  # killed, survived, invalid, same
    by: str


def read(words):
    return subprocess.run(words, cwd=ROOT, env=ENVIRONMENT, check=True, stdout=subprocess.PIPE, text=True).stdout


def call(words, seconds=600.0):
    """The exit status; -1 if it took too long. What it leaves running ends with it."""
    quiet = subprocess.DEVNULL
    # timeout(1) for the case that this process is ended before.
    words = ["timeout", "-s", "KILL", f"{seconds + GRACE_SECONDS:.0f}", *words]
    process = subprocess.Popen(words, stdin=quiet, stdout=quiet, stderr=quiet, cwd=ROOT, env=ENVIRONMENT,
                               start_new_session=True)  # fmt: skip
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


def writing(words, path):
    """The same command with another output."""
    at = words.index("-o") + 1
    return [*words[:at], str(path), *words[at + 1 :]]


class Build:
    """The original, the commands that it is made by, and the tests that it passes."""

    def __init__(self, name):
        flags, seeds = BUILDS[name]
        base = BUILD / name
        # The simulation and the unit tests share the daemon's objects. Fortified calls have other
        # names, which could not be simulated.
        make = ["make", f"B={base}", f"SIM_B={base}", f"CFLAGS={flags}", f"SIM_OPTIMIZE={flags}",
                "ENABLE_SYSTEMD=1", f"{base}/sim", "unit-programs"]  # fmt: skip
        read([*make, "-s", f"-j{os.cpu_count()}"])
        self.memory = MEMORY[name]
        self.compile = {}  # by object
        archives, links = {}, {}
        for line in read([*make, "-n", "-B"]).splitlines():
            words = shlex.split(line) if " -o " in line or " rcs " in line else []
            if "-MMD" in words:  # and not only "-c", with which the compiler is asked what it knows
                self.compile[after(words, "-o")] = [word for word in words if word not in ("-MMD", "-MP")]
            elif "rcs" in words:
                archives[after(words, "rcs")] = words[words.index("rcs") + 2 :]
            elif "-o" in words and "-c" not in words:
                links[after(words, "-o")] = words
        self.needs = {name: set(Path(name).with_suffix(".d").read_text().split()) for name in self.compile}
        self.original = {name: Path(name).read_bytes() for name in self.compile}
        simulation = links.pop(f"{base}/sim")
        steps = [self.step(self.without_archives(link, archives), []) for link in links.values()]
        self.steps = sorted(steps, key=lambda step: step.seconds)
        self.steps += [self.step(simulation, ["--jobs", "1", "--seeds", some]) for some in seeds]

    @staticmethod
    def without_archives(link, archives):
        """The same with those objects of an archive that the linker takes."""
        for archive in [word for word in link if word in archives]:
            members = archives[archive]
            with tempfile.TemporaryDirectory() as directory:
                # Thin, for then the linker's map has the members' whole names.
                thin = f"{directory}/thin.a"
                read(["ar", "rcT", thin, *(f"{ROOT}/{member}" for member in members)])
                words = [thin if word == archive else word for word in link]
                read([*writing(words, f"{directory}/program"), f"-Wl,-Map={directory}/map"])
                told = Path(directory, "map").read_text()
            at = link.index(archive)
            link = link[:at] + [member for member in members if f"{ROOT}/{member}" in told] + link[at + 1 :]
        return link

    def step(self, link, arguments):
        program = after(link, "-o")
        begin = time.monotonic()
        if call([program, *arguments]) != 0:
            sys.exit(f"mutants: {program} fails without a mutant")
        return Step(program, link, arguments, set(link) & self.compile.keys(), time.monotonic() - begin)

    def compile_mutant(self, mutant, work):
        """The objects that differ from the original's, in WORK; None if one does not compile."""
        changed = {}
        file = work / mutant.file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(mutant.text)
        try:
            for name in [name for name, files in self.needs.items() if mutant.file in files]:
                made = work / f"{len(changed)}.o"
                words = [str(file) if word == mutant.file else word for word in self.compile[name]]
                # A changed header is found before its original.
                words[1:1] = ["-Werror=return-type", f"-fmacro-prefix-map={work}/=", f"-I{work}/src"]
                if call(writing(words, made)) != 0:
                    return None
                if made.read_bytes() != self.original[name]:
                    changed[name] = str(made)
        finally:
            file.unlink()
        return changed

    def attempt(self, mutant, work):
        changed = self.compile_mutant(mutant, work)
        if not changed:
            return Result(mutant, "invalid" if changed is None else "same", "")
        program, linked = work / "program", None
        # The test of the mutant's own module comes first: mostly it is the one that finds it.
        for step in sorted(self.steps, key=lambda step: Path(step.program).name != Path(mutant.file).stem):
            if not step.objects & changed.keys():
                continue
            if linked != step.program:
                if call(writing([changed.get(word, word) for word in step.link], program)) != 0:
                    return Result(mutant, "invalid", "")
                linked = step.program
            if call([*self.memory, program, *step.arguments], PATIENCE * step.seconds + GRACE_SECONDS) != 0:
                return Result(mutant, "killed", " ".join([step.program.removeprefix(f"{BUILD}/"), *step.arguments[3:]]))
        return Result(mutant, "survived", "")


BUILT, BUILDING = {}, threading.Lock()


def build_of(name):
    with BUILDING:
        if name not in BUILT:
            BUILT[name] = Build(name)
        return BUILT[name]


def try_all(mutants, tell):
    """The results, in the mutants' order; as many at a time as there are processors."""
    mine = threading.local()
    done = itertools.count(1)

    def one(mutant):
        if not hasattr(mine, "work"):
            mine.work = BUILD / f"work-{threading.get_native_id()}"
        result = build_of("plain").attempt(mutant, mine.work)
        if result.fate == "survived":
            second = build_of("sanitized").attempt(mutant, mine.work)
            result = second if second.fate == "killed" else result
        tell(result)
        if (number := next(done)) % TELL_EVERY == 0:
            print(f"mutants: {number} of {len(mutants)}", flush=True)
        return result

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, mutants))


def try_sample(mutants, count, tell):
    """Tries mutants, one of each file and then the next of each, until COUNT were worth counting."""
    files = collections.defaultdict(list)
    for mutant in sorted(mutants, key=lambda mutant: mutant.id):
        files[mutant.file].append(mutant)
    ranked = [(rank, mutant) for of_file in files.values() for rank, mutant in enumerate(of_file)]
    queue = [mutant for _, mutant in sorted(ranked, key=lambda pair: (pair[0], pair[1].id))]
    results, missing = [], count
    while queue and missing > 0:
        some, queue = queue[:missing], queue[missing:]
        results += try_all(some, tell)
        missing = count - sum(result.fate in ("killed", "survived") for result in results)
    return results


class Reasons:
    """survivors.toml."""

    def __init__(self):
        entries = tomllib.loads(Path(__file__).with_name("survivors.toml").read_text()).get("survivor", [])
        self.entries = [(entry["file"], entry.get("change", "…")) for entry in entries if entry["why"]]
        self.fits = [re.compile(re.escape(bare(change)).replace("…", ".*")).fullmatch for _, change in self.entries]
        self.used = set()

    def has(self, mutant):
        fits = {number for number, (file, _) in enumerate(self.entries)
                if file == mutant.file and self.fits[number](bare(mutant.change))}  # fmt: skip
        self.used |= fits
        return bool(fits)

    def unused(self):
        return [f"explained, but killed or gone: {file}: {change}"
                for number, (file, change) in enumerate(self.entries) if number not in self.used]  # fmt: skip


def show(mutant):
    return f"{mutant.file}: {mutant.function or 'outside functions'}: {mutant.kind}: {mutant.change}"


def scores(results, reasons):
    """A table, and the score that has to be reached."""
    counts = collections.defaultdict(collections.Counter)
    for mutant, fate, _ in results:
        folder = str(Path(mutant.file).parent)
        for name in [folder, "all", *(["scored"] if folder.startswith(SCORED) else [])]:
            counts[name].update([fate, *(["explained"] if fate == "survived" and reasons.has(mutant) else [])])
            counts[name]["log"] += fate == "survived" and mutant.kind == "log"
    names = ["killed", "survived", "explained", "log", "invalid", "same"]
    rows = [f"{'':14}" + "".join(f"{name:>11}" for name in ["score", *names])]
    for folder in [*sorted(counts.keys() - {"all", "scored"}), "scored", "all"]:
        count = counts[folder]
        score = 100.0 * count["killed"] / max(count["killed"] + count["survived"], 1)
        counts[folder]["score"] = score
        rows.append(f"{folder:14}{score:>9.1f} %" + "".join(f"{count[name]:>11}" for name in names))
    return rows, counts["scored"]["score"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", type=int)
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    os.chdir(ROOT)
    reasons = Reasons()
    files = options.files or sorted(str(path) for path in Path("src").rglob("*.[ch]"))
    mutants = [mutant for file in files for mutant in mutants_of(ROOT, file)]

    def tell(result):
        if result.fate == "survived" and not reasons.has(result.mutant):
            print(f"survived: {show(result.mutant)}", flush=True)

    if options.sample:
        mutants = [mutant for mutant in mutants if mutant.file.endswith(".c") and mutant.file.startswith(SCORED)
                   and not reasons.has(mutant)]
        results = try_sample(mutants, options.sample, tell)
    else:
        results = try_all(mutants, tell)
    reasons.used.clear()
    rows, score = scores(results, reasons)
    faults = []
    if not options.sample and not options.files:
        faults = reasons.unused()
        if score < LEAST_PERCENT:
            faults.append(f"the score of {', '.join(SCORED)} is {score:.1f} %, not {LEAST_PERCENT} %")
    unexplained = [f"survived: {show(mutant)}" for mutant, fate, _ in results
                   if fate == "survived" and not reasons.has(mutant)]  # fmt: skip
    name = "sample" if options.sample else "some" if options.files else "score"
    Path(BUILD / f"{name}.txt").write_text("\n".join([*rows, "", *faults, *unexplained, ""]))
    lines = ["\t".join((fate, by, mutant.id, *mutant[:4])) for mutant, fate, by in results]
    Path(BUILD / f"{name}.tsv").write_text("\n".join([*lines, ""]))
    print("\n".join([*rows, *faults]))
    print(f"mutants: {len(unexplained)} survived without a reason; see {BUILD}/{name}.txt and {name}.tsv")
    scored = [mutant for mutant, fate, _ in results
              if fate == "survived" and mutant.file.startswith(SCORED) and not reasons.has(mutant)]  # fmt: skip
    return 1 if faults or scored else 0


if __name__ == "__main__":
    sys.exit(main())
