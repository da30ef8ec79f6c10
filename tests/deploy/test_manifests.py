"""deploy/kubernetes is what Kubernetes takes, as far as that can be told without a cluster."""

import re
import shutil
import subprocess

import pytest

from harness.tree import ROOT

FOLDERS = ["deploy/kubernetes/base", "deploy/kubernetes/host-network", "deploy/kubernetes/prometheus"]
MODELS = ["kubernetes-models@4.5.1", "@kubernetes-models/prometheus-operator", "typescript@5", "kubernetes-types@1.30", "js-yaml@4"]
VALIDATE = ROOT / "tests/deploy/validate.mjs"


def manifests():
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.yaml"))
            if path.name != "kustomization.yaml"]


@pytest.fixture(scope="session")
def models():
    """A folder with what npm has of Kubernetes' schemas: 80 MB."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    folder = ROOT / "build/npm"
    if not (folder / "node_modules/@kubernetes-models/prometheus-operator").exists():
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, *MODELS],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600, check=False)
        if done.returncode != 0:
            pytest.skip(f"npm has not installed the schemas: {done.stdout[-200:]}")
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


def test_selectors_select_the_pods_and_ports_are_theirs():
    text = "".join(path.read_text() for path in manifests() if path.parent.name == "base")
    assert set(re.findall(r"app\.kubernetes\.io/name: ([\w-]+)", text)) == {"epoll-echo"}
    assert set(re.findall(r"(?:\bport|Port): (\d+)", text)) == {"12345", "8080"}
