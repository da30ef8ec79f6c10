"""The image, built by `make image` in a copy of the tree, and the engines that run it.

Everything happens in the network namespace that these tests are run in, so that bridges, rules and fixed
ports are nobody else's, and with stores of its own.
"""

import contextlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness.figures import figure, pytest_configure, pytest_terminal_summary  # noqa: F401
from harness.network import own_namespace
from harness.tree import ROOT, copy_tree, make
from harness.wait import PATIENCE, wait_until

# This machine's architecture, as packaging/architectures has it.
NATIVE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine())


def really_root():
    """And not only in a user namespace, where this machine's root is not root."""
    return os.geteuid() == 0 and Path("/proc/self/uid_map").read_text().split()[1] == "0"


def need(*programs):
    if not really_root() or not own_namespace():
        pytest.skip("needs root and a network namespace of its own: tests/netns")
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed: make setup-long")


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    """Where the image for this machine is in dist/."""
    if not NATIVE:
        pytest.skip(f"no image is made for {platform.machine()}")
    tree = copy_tree(tmp_path_factory.mktemp("image") / "tree")
    (ROOT / "build/musl").mkdir(parents=True, exist_ok=True)
    (tree / "build").mkdir(exist_ok=True)
    (tree / "build/musl").symlink_to(ROOT / "build/musl")
    make("image", f"ARCHITECTURES={NATIVE}", tree=tree)
    return tree


@pytest.fixture(scope="session")
def version():
    return make("--no-print-directory", "version").strip()


@pytest.fixture(scope="session")
def archive(tree, version):
    """What `podman load` and `docker load` are given."""
    return tree / f"dist/epoll-echo-{version}-image-{NATIVE}.tar"


class Engine:
    """`podman` or `docker`, with an environment of its own."""

    def __init__(self, program, **environment):
        self.program = program
        self.environment = {**os.environ, **environment}

    def __call__(self, *words, check=True, patience=4 * PATIENCE):
        """Its output, both kinds of it."""
        done = subprocess.run([self.program, *map(str, words)], env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=patience,
                              cwd=tempfile.gettempdir())
        assert not check or done.returncode == 0, f"{words}: {done.stdout}"
        return done.stdout

    def script(self, text, folder):
        """What a user would type in FOLDER."""
        done = subprocess.run(["sh", "-ec", text], cwd=folder, env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
        assert done.returncode == 0, done.stdout

    def show(self, name, what):
        """One value of a container, by a Go template."""
        return self("inspect", "--format", "{{" + what + "}}", name).strip()

    @contextlib.contextmanager
    def running(self, *words, name):
        """A container of the image, in the background; removed at the end."""
        self("run", "-d", "--name", name, *words)
        try:
            yield name
        finally:
            self("rm", "-f", name, check=False)

    def status(self, name):
        """Of the container's process, from /proc."""
        text = Path(f"/proc/{self.show(name, '.State.Pid')}/status").read_text()
        return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


PODMAN = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
[network]
network_backend = "netavark"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{0}/tmp"
"""
STORAGE = """[storage]
driver = "overlay"
graphroot = "{0}/store"
runroot = "{0}/run"
"""


@pytest.fixture(scope="session")
def folder():
    """Short, for it is a part of sockets' addresses."""
    with tempfile.TemporaryDirectory(prefix="cont.", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def podman(folder, request):
    need("podman", "runc")
    archive = request.getfixturevalue("archive")  # which takes its time
    (folder / "containers.conf").write_text(PODMAN.format(folder))
    (folder / "storage.conf").write_text(STORAGE.format(folder))
    podman = Engine("podman", CONTAINERS_CONF=f"{folder}/containers.conf",
                    CONTAINERS_STORAGE_CONF=f"{folder}/storage.conf")
    podman("load", "-q", "-i", archive)
    yield podman
    podman("rm", "-fa", check=False)
    podman("rmi", "-fa", check=False)
    subprocess.run(["umount", f"{folder}/store/overlay"], stderr=subprocess.DEVNULL, check=False)


@pytest.fixture(scope="session")
def docker(folder, request):
    need("dockerd", "docker")
    archive = request.getfixturevalue("archive")
    address = f"unix://{folder}/dk.sock"
    log = (folder / "dockerd.log").open("wb")
    daemon = subprocess.Popen(["dockerd", "--data-root", folder / "dk", "--exec-root", folder / "dx", "--pidfile",
                               folder / "dk.pid", "-H", address, "--storage-driver", "overlay2"],
                              stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    docker = Engine("docker", DOCKER_HOST=address)

    def answers():
        assert daemon.poll() is None, (folder / "dockerd.log").read_text()[-2000:]
        return "Server" in docker("version", check=False)

    try:
        wait_until(answers, "dockerd")
        docker("load", "-i", archive)
        yield docker
        names = docker("ps", "-aq").split()
        if names:
            docker("rm", "-f", *names, check=False)
    finally:
        daemon.terminate()
        daemon.wait(PATIENCE)
        log.close()
