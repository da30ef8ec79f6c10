"""The image's parts, as they are in the archives: nothing is run here."""

import hashlib
import json
import re
import tarfile

import pytest

from conftest import ARCHITECTURES, build

LARGEST = 300_000  # bytes of one architecture's image


class Layout:
    """An archive of an OCI layout."""

    def __init__(self, path):
        with tarfile.open(path) as archive:
            self.files = {entry.name: archive.extractfile(entry).read() for entry in archive}

    def json(self, name):
        return json.loads(self.files[name])

    def blob(self, descriptor):
        content = self.files["blobs/" + descriptor["digest"].replace(":", "/")]
        assert descriptor["digest"] == "sha256:" + hashlib.sha256(content).hexdigest()
        assert descriptor["size"] == len(content)
        return content


@pytest.fixture(scope="module")
def layout(tree, version):
    return Layout(tree / f"dist/epoll-echo-{version}-image.tar")


@pytest.fixture(scope="module")
def manifests(layout):
    """Of all architectures, by the image's name of each."""
    (named,) = layout.json("index.json")["manifests"]
    index = json.loads(layout.blob(named))
    found = {"/".join(filter(None, (at["platform"]["architecture"], at["platform"].get("variant")))): at
             for at in index["manifests"]}
    return {name: (at["platform"], json.loads(layout.blob(at))) for name, at in found.items()}


def test_one_index_has_every_architecture(layout, manifests, version):
    assert layout.json("oci-layout") == {"imageLayoutVersion": "1.0.0"}
    (named,) = layout.json("index.json")["manifests"]
    assert named["annotations"]["org.opencontainers.image.ref.name"] == f"epoll-echo:{version}"
    assert set(manifests) == {architecture.image for architecture in ARCHITECTURES.values()}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_image_is_small_and_says_what_it_is(layout, manifests, version, name, figure):
    platform, manifest = manifests[ARCHITECTURES[name].image]
    config = json.loads(layout.blob(manifest["config"]))
    (layer,) = map(layout.blob, manifest["layers"])
    assert platform.items() <= config.items()
    run = config["config"]
    assert run["User"] == "65532:65532" and run["Entrypoint"] == ["/epoll-echo"] and run["StopSignal"] == "SIGTERM"
    assert set(run["ExposedPorts"]) == {"12345/tcp", "12345/udp"}
    assert run["Healthcheck"]["Test"][0] == "CMD"
    assert run["Labels"]["org.opencontainers.image.version"] == version
    assert run["Labels"] == manifest["annotations"]
    assert len(layer) <= LARGEST
    figure(f"image for {name}: {len(layer)} bytes")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_image_has_the_programs_of_the_tarball(layout, manifests, unpacked, tmp_path, name):
    _, manifest = manifests[ARCHITECTURES[name].image]
    path = tmp_path / "layer.tar.gz"
    path.write_bytes(layout.blob(manifest["layers"][0]))
    with tarfile.open(path) as archive:
        entries = {entry.name: entry for entry in archive}
        assert set(entries) == {"epoll-echo", "echo-bench", "LICENSE", "COPYRIGHT.musl"}
        for program in ("epoll-echo", "echo-bench"):
            assert (entries[program].mode, entries[program].uid) == (0o755, 0)
            assert archive.extractfile(program).read() == (unpacked(name) / "bin" / program).read_bytes()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_archive_for_docker_has_the_same_image(tree, layout, manifests, version, name):
    _, manifest = manifests[ARCHITECTURES[name].image]
    archive = Layout(tree / f"dist/epoll-echo-{version}-image-{name}.tar")
    (described,) = archive.json("manifest.json")
    assert described["RepoTags"] == [f"epoll-echo:{version}", "epoll-echo:latest"]
    assert archive.files[described["Config"]] == layout.blob(manifest["config"])
    assert [archive.files[path] for path in described["Layers"]] == [layout.blob(manifest["layers"][0])]


def test_the_digests_are_printed_and_the_same_each_time(tree, layout, figure):
    told = (tree / "told").read_text()
    (named,) = layout.json("index.json")["manifests"]
    assert f"index    {named['digest']}\n" in told
    digests = re.findall(r"^\w+ +sha256:\w{64}.*$", told, re.MULTILINE)
    assert len(digests) == len(ARCHITECTURES) + 1
    again = build(tree, "image", TZ="Asia/Kathmandu", LC_ALL="C.UTF-8")
    assert re.findall(r"^\w+ +sha256:\w{64}.*$", again, re.MULTILINE) == digests
    for line in digests:
        figure(f"digest of {line}, twice")
