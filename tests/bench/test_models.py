"""The rival designs answer right: who measures himself against broken servers proves nothing."""

import os
import re
import subprocess
import sys

import pytest

from harness.daemon import ROOT
from harness.wait import PATIENCE
from program import bench

sys.path.insert(0, str(ROOT / "bench"))
import matrix  # noqa: E402

PLACE = ROOT / os.environ.get("MODELS", "build/models")
NAMES = sorted(path.stem for path in (ROOT / "bench/models").glob("*.c"))


@pytest.fixture(scope="module")
def built():
    subprocess.run(["make", "-s", "models"], cwd=ROOT, timeout=4 * PATIENCE, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def model(built, request):
    name = request.param
    if not os.access(PLACE / name, os.X_OK):
        pytest.skip(f"{name} could not be built: {(PLACE / name).with_suffix('.log').read_text()[:200]}")
    process = subprocess.Popen([str(PLACE / name), "0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    found = re.fullmatch(r"listening (\d+)\n", line)
    if not found and name == "io_uring":
        process.wait(PATIENCE)
        pytest.skip("io_uring is not allowed here")
    try:
        yield f"127.0.0.1:{found[1]}"
        assert process.poll() is None, "the model is gone"
    finally:
        process.kill()
        process.wait(PATIENCE)
        process.stdout.close()


def test_every_model_is_in_the_matrix():
    assert set(NAMES) == {server.name for server in matrix.SERVERS} - set(matrix.OWN)


@pytest.mark.parametrize("port", ["77881", "-1", "x"])
def test_a_port_is_one(built, port):
    done = subprocess.run([PLACE / "epoll", port], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "not a port" in done.stderr


TCP = [name for name in NAMES if not name.startswith("udp")]


@pytest.mark.parametrize("model", TCP, indirect=True)
@pytest.mark.parametrize("load", ["-c 20 -n 2000", "-c 3 -d 16 -n 2000", "-c 2 -d 500 -s 4000 -n 3000",
                                  "--churn -c 4 -n 100"])
def test_every_byte_comes_back(model, load):
    result = bench("--verify", "--timeout=30", *load.split(), model).json()
    assert result["errors"] == 0


@pytest.mark.parametrize("model", ["udp-pair"], indirect=True)
def test_every_datagram_comes_back(model):
    assert bench("--udp", "--verify", "--timeout=30", "-c", 4, "-d", 4, "-n", 1000, model).json()["errors"] == 0
