"""deploy/kubernetes is what Kubernetes takes, as far as that can be told without a cluster."""

import re
import shutil
import subprocess

import pytest

from harness.tree import ROOT

FOLDERS = ["deploy/kubernetes/base", "deploy/kubernetes/host-network", "deploy/kubernetes/prometheus"]
VALIDATE = ROOT / "tests/deploy/validate.mjs"


def manifests():
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.yaml"))
            if path.name != "kustomization.yaml"]


@pytest.fixture(scope="session")
def models():
    """A folder with what npm has of Kubernetes' schemas."""
    folder = ROOT / "build/schemas"
    if not (folder / "installed").exists():
        pytest.skip("the schemas of Kubernetes are not installed: make schemas")
    return folder


def validate(models, *paths):
    shutil.copy(VALIDATE, models)  # imports are looked up from beside it
    return subprocess.run(["node", VALIDATE.name, *paths], cwd=models, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=300, check=False)


def test_the_manifests_fit_the_schemas(models):
    done = validate(models, *manifests())
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("8 documents\n")


@pytest.mark.parametrize("right, wrong", [
    ("protocol: UDP", "protocol: UDPX"),
    ("readOnlyRootFilesystem", "readOnlyRootFileSystem"),
    ("replicas: 2", "replicas: two"),
    ("  selector:", "  selectors:"),
])
def test_a_wrong_manifest_is_found_out(models, tmp_path, right, wrong):
    """That the check can fail."""
    text = (ROOT / "deploy/kubernetes/base/deployment.yaml").read_text()
    assert right in text
    path = tmp_path / "wrong.yaml"
    path.write_text(text.replace(right, wrong))
    assert validate(models, path).returncode == 1


@pytest.mark.parametrize("folder, kinds", [
    (FOLDERS[0], ["Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service", "Service"]),
    (FOLDERS[1], ["DaemonSet"]),
    (FOLDERS[2], ["Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service", "Service", "Service",
                  "ServiceMonitor"]),
])
def test_kustomize_puts_them_together(folder, kinds):
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed")
    done = subprocess.run(["kubectl", "kustomize", ROOT / folder], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(re.findall(r"^kind: (\w+)$", done.stdout, re.MULTILINE)) == kinds


MANY = ["deploy/kubernetes/base/deployment.yaml", "deploy/kubernetes/host-network/daemonset.yaml",
        "deploy/swarm/epoll-echo.yaml"]


@pytest.mark.parametrize("path", MANY)
def test_clients_that_do_not_read_fit_into_the_limit_of_memory(path):
    """README.md's Limits are 165 KiB, and this leaves room to spare; the kernel's buffers come on top."""
    text = (ROOT / path).read_text()
    clients, buffer, mebibytes = (int(re.search(pattern, text)[1]) for pattern in (
        r"--max-tcp=(\d+)", r"--socket-buffer=(\d+)", r"limits: {memory: (\d+)Mi?}"))
    kernel = 2 * 2 * buffer  # in either direction, and Linux doubles what it is asked for
    others = 8 << 20  # the program, its sockets, peers, goodbyes
    assert others + clients * ((256 << 10) + kernel) <= mebibytes << 20


def test_selectors_select_the_pods_and_ports_are_theirs():
    text = "".join(path.read_text() for path in manifests() if path.parent.name == "base")
    assert set(re.findall(r"app\.kubernetes\.io/name: ([\w-]+)", text)) == {"epoll-echo"}
    assert set(re.findall(r"(?:\bport|Port): (\d+)", text)) == {"12345", "8080"}
