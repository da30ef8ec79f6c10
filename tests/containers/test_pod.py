"""deploy/kubernetes' Deployment as a pod in podman, which knows no Services and ignores readiness probes."""

import re

import pytest

from harness.clients import Client, Peer, serves
from harness.steps import steps
from harness.tree import ROOT
from harness.wait import wait_until

PORT = 12345


@pytest.fixture
def pod(podman):
    """README.md's line: one replica, for podman publishes each pod's ports on the host."""
    podman.script(steps("pod"), ROOT)
    (name,) = [name for name in podman("ps", "--format", "{{.Names}}").split() if name.endswith("-epoll-echo")]
    yield name
    podman("rm", "-fa")
    podman("pod", "rm", "-fa")


def test_a_pod_of_the_deployment_serves(podman, pod):
    wait_until(lambda: podman("logs", pod).count("msg=listening") == 3, "all sockets")
    serves(PORT, PORT)
    with Client("127.0.0.1", PORT) as client:
        assert re.search(rb" name=\S+\n", client.ask(b"/whoami\n"))
    with Peer("127.0.0.1", PORT) as peer:
        assert peer.ask(bytes(1000)) == bytes(1000)
    status = podman.status(pod)
    assert status["Uid"].split() == ["65532"] * 4 and int(status["CapEff"], 16) == 0
    podman("stop", "-t", "20", pod)
    assert podman.show(pod, ".State.ExitCode") == "0"
