"""Shells offer the options of --help, as `make install` has told them to."""

import fcntl
import os
import pathlib
import pty
import re
import select
import shutil
import struct
import subprocess
import termios
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE = 30
PROGRAMS = ["epoll-echo", "echo-bench"]
BASH_COMPLETION = pathlib.Path("/usr/share/bash-completion/bash_completion")


@pytest.fixture(scope="session")
def share(tmp_path_factory):
    """The directory of installed data; the programs are in bin beside it."""
    stage = tmp_path_factory.mktemp("stage")
    subprocess.run(["make", "-s", "install", f"DESTDIR={stage}", "PREFIX=/usr"], cwd=ROOT, check=True,
                   timeout=PATIENCE * 10)
    return stage / "usr/share"


@pytest.fixture
def home(tmp_path):
    (tmp_path / "token").write_text("")
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/known_hosts").write_text("localhost ssh-ed25519 AAAA\n") # fish looks nowhere else
    return tmp_path


def environment(share):
    return {"PATH": f"{share.parent}/bin:/usr/bin:/bin", "HOME": "/nonexistent", "TERM": "dumb", "LC_ALL": "C.UTF-8",
            "XDG_DATA_DIRS": f"{share}:/usr/share", "PS1": "READY>", "HISTFILE": ""}


class Terminal:
    """A shell on a terminal of its own, in which keys are pressed."""

    def __init__(self, words, share, home, *lines):
        self.fd, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 4000, 0, 0))
        self.process = subprocess.Popen(words, stdin=terminal, stdout=terminal, stderr=terminal, cwd=home,
                                        env=environment(share), start_new_session=True)
        os.close(terminal)
        self.came = ""
        self.read("READY>")
        for line in lines:
            self.press(line + "\n")
            self.read("READY>")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.fd)

    def press(self, keys):
        os.write(self.fd, keys.encode())

    def read(self, until):
        end = time.monotonic() + PATIENCE
        while until not in self.came:
            assert select.select([self.fd], [], [], max(end - time.monotonic(), 0))[0], self.came
            self.came += os.read(self.fd, 65536).decode()
        text, self.came = self.came.split(until, 1)
        return text

    def complete(self, line, key):
        """The words that LINE and then KEY have made of the command line."""
        # Control-A and control-E are the line's ends.
        self.press(line + key + "\x01printf '<%s>\\n' \x05 END\n")
        words = re.findall(r"^<(.*)>\r$", self.read("<END>"), re.M)
        self.read("READY>")
        return words


def bash(share, home, line):
    """Without bash-completion: the file is read by hand."""
    with Terminal(["bash", "--norc", "--noprofile", "-i"], share, home,
                  f"source {share}/bash-completion/completions/epoll-echo") as terminal:
        return terminal.complete(line, "\033*")


def bash_completion(share, home, line):
    if not BASH_COMPLETION.exists():
        pytest.skip("bash-completion is not installed")
    lines = [f"source {BASH_COMPLETION}"]
    if line.startswith("./"):
        # For a path, bash itself looks only once more, in vain, when a completion has been loaded.
        lines.append("_completion_loader epoll-echo")
    with Terminal(["bash", "--norc", "--noprofile", "-i"], share, home, *lines) as terminal:
        return terminal.complete(line, "\033*")


def zsh(share, home, line):
    if not shutil.which("zsh"):
        pytest.skip("zsh is not installed")
    with Terminal(["zsh", "-f", "-i"], share, home, f"fpath=({share}/zsh/site-functions $fpath)",
                  "autoload -U compinit && compinit -D -u", "zle -C every complete-word _generic",
                  "bindkey '^Xe' every", "zstyle ':completion:every:*' completer _all_matches _complete",
                  "zstyle ':completion:every:*' insert true") as terminal:
        return terminal.complete(line, "\030e")


def fish(share, home, line):
    if not shutil.which("fish"):
        pytest.skip("fish is not installed")
    done = subprocess.run(["fish", "-c", "complete -C $argv[1]", line], cwd=home, capture_output=True, text=True,
                          env=environment(share) | {"HOME": str(home)}, timeout=PATIENCE, check=True)
    assert done.stderr == ""
    return [*line.split()[:-1], *(candidate.split("\t")[0] for candidate in done.stdout.splitlines())]


@pytest.fixture(params=[bash, bash_completion, zsh, fish], ids=lambda shell: shell.__name__)
def offers(request, share, home):
    """What the shell has for the end of a line, as a set of words without the option before them."""

    def offers(line):
        before = line.split() if line.endswith(" ") else line.split()[:-1]
        words = request.param(share, home, line)[len(before):]
        return {re.sub("^--[a-z-]+=(?=.)", "", word).removesuffix("=") for word in words}

    return offers


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_option_of_help_is_offered(share, offers, program):
    text = subprocess.run([share.parent / "bin" / program, "--help"], capture_output=True, text=True, check=True,
                          timeout=PATIENCE).stdout
    options = set(re.findall(r"^ +(?:-\w, )?(--[\w-]+)", text, re.M))
    assert len(options) > 10
    assert offers(f"{program} --") == options


@pytest.mark.parametrize("line, words", [
    ("epoll-echo --trigger=", {"level", "edge"}),
    ("epoll-echo -v --trigger=e", {"edge"}),
    ("epoll-echo --trigger=level --shutdown-token-file=to", {"token"}),
    ("echo-bench --hgrm=to", {"token"}),
    ("echo-bench localhos", {"localhost"}),
])
def test_values_are_offered(offers, line, words):
    assert offers(line) == words


@pytest.mark.parametrize("line, word", [
    ("epoll-echo localhos", "localhos"),
    ("epoll-echo --probe=H", "H"),
    ("epoll-echo --listen=R", "R"),
])
def test_where_nothing_is_offered_a_word_stays(offers, line, word):
    assert offers(line) <= {word}


@pytest.mark.parametrize("option", ["--pid=", "-p "])
def test_processes_are_offered(offers, option):
    assert str(os.getpid()) in offers(f"echo-bench {option}{str(os.getpid())[:-1]}")


def test_what_a_newer_program_has_is_offered(share, home, offers):
    """As it was typed, and not what PATH would find."""
    newer = home / "epoll-echo"
    newer.write_text("#!/bin/sh\necho '  -n, --newer=old|young|[new]   a: colon, [brackets] and \\\\ (old)'\n")
    newer.chmod(0o755)
    assert offers("./epoll-echo --") == {"--newer"}
    assert offers("./epoll-echo --newer=o") == {"old"}
    assert offers("./epoll-echo -n y") == {"young"}
