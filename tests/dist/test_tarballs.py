"""Each architecture's programs are static and work; sums and licences go with them."""

import hashlib
import json
import re
import signal
import subprocess

import pytest

from conftest import ARCHITECTURES, LONG, build, under
from harness.clients import Client, Peer, serves
from harness.daemon import Daemon
from harness.pages import get
from harness.tree import ROOT, copy_tree

# What qemu-user 7.2 cannot do.
BREAKS = {"s390x": "qemu-user hands IP_TTL to sendmsg with its bytes in the guest's order, so nothing is answered"}


def output(*command, **details):
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, **details).stdout


@pytest.fixture(params=ARCHITECTURES.values(), ids=ARCHITECTURES)
def architecture(request):
    return request.param


def test_the_programs_are_static_and_position_independent(architecture, unpacked, figure):
    for program in ("epoll-echo", "echo-bench"):
        path = unpacked(architecture.name) / "bin" / program
        elf = output("readelf", "-hlrSW", path)
        # musl's start files look up no symbol.
        assert {kind.rpartition("_")[2] for kind in re.findall(r"\bR_[A-Z0-9_]+", elf)} == {"RELATIVE"}
        assert "DYN" in elf and "INTERP" not in elf and "GNU_RELRO" in elf and ".symtab" not in elf
        figure(f"{architecture.name} {program}: {path.stat().st_size} bytes")


@pytest.fixture
def server(architecture, unpacked):
    """A daemon of the architecture."""
    with Daemon("--bind=127.0.0.1", "-v", binary=unpacked(architecture.name) / "bin/epoll-echo",
                wrapper=under(architecture)) as server:
        yield server


def measured(architecture, unpacked, *words):
    """That an echo-bench of the architecture finds every answer right."""
    program = unpacked(architecture.name) / "bin/echo-bench"
    done = subprocess.run([*under(architecture), program, "-c2", "-n200", *words], capture_output=True, text=True,
                          timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_programs_work_by_tcp(architecture, unpacked, server):
    serves(server.tcp_port)
    with Client("127.0.0.1", server.tcp_port) as client:
        assert client.ask(b"/whoami\n").startswith(b"proto=tcp peer=127.0.0.1:%d " % client.port)
        assert client.stats()["connected_tcp"] == 1
        lines = b"".join(b"%d\n" % n for n in range(10_000))
        assert client.ask_all(lines) == lines
    measured(architecture, unpacked, f"127.0.0.1:{server.tcp_port}")


def test_the_programs_work_by_udp(architecture, unpacked, server):
    if under(architecture) and architecture.name in BREAKS:
        pytest.skip(BREAKS[architecture.name])
    with Peer("127.0.0.1", server.udp_port) as peer:
        assert peer.ask(bytes(60_000)) == bytes(60_000)
    measured(architecture, unpacked, "--udp", f"127.0.0.1:{server.udp_port}")


def test_no_call_is_made_that_the_sandbox_does_not_know(architecture, unpacked, tmp_path):
    """qemu-user has no seccomp(2), and so nothing is refused under it; but it tells what is called."""
    if not under(architecture):
        pytest.skip("this machine's kernel does refuse")
    (tmp_path / "token").write_text("open sesame\n")
    (tmp_path / "token").chmod(0o600)
    calls = tmp_path / "calls"
    with Daemon("--bind=127.0.0.1", "-v", "--listen=http:127.0.0.1:0", f"--shutdown-token-file={tmp_path}/token",
                binary=unpacked(architecture.name) / "bin/epoll-echo", listening=3,
                wrapper=[*under(architecture), "-strace", "-D", str(calls)]) as server:
        with Client("127.0.0.1", server.tcp_port) as client, Peer("127.0.0.1", server.udp_port) as peer:
            lines = b"line\n" * 20_000
            assert client.ask_all(b"/whoami\n" + lines).endswith(lines)
            peer.send(b"question")
            server.await_record(msg="peer heard")
        assert get(server.port_of("tcp", role="http"), "/metrics").status == 200
        server.signal(signal.SIGHUP)
        server.await_record(msg="token read again")
        server.stop()
    made = re.findall(r"^\d+ (\w+)\(", calls.read_text(), re.MULTILINE)
    first = len(made) - made[::-1].index("seccomp")
    text = (ROOT / "ARCHITECTURE.md").read_text().partition("## The sandbox")[2].partition("\n## ")[0]
    known = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE))))
    assert len(made) - first > 50 and {"accept4", "recvmmsg"} <= known
    assert set(made[first:]) - known == set()


def test_what_else_is_in_the_tarball(architecture, unpacked):
    folder = unpacked(architecture.name)
    assert "musl as a whole is licensed" in (folder / "share/doc/epoll-echo/COPYRIGHT.musl").read_text()
    assert "MIT License" in (folder / "share/doc/epoll-echo/LICENSE").read_text()
    unit = (folder / "lib/systemd/system/epoll-echo.service").read_text()
    assert "ExecStart=/usr/local/bin/epoll-echo " in unit
    assert (folder / "share/man/man8/epoll-echo.8").exists()


def test_the_sums_are_those_of_the_files(tree, version):
    told = output("sha256sum", "--check", "SHA256SUMS", cwd=tree / "dist")
    files = {path.name for path in (tree / "dist").iterdir()} - {"SHA256SUMS"}
    assert {line.partition(":")[0] for line in told.splitlines()} == files
    assert len([name for name in files if name.endswith(".tar.gz")]) == len(ARCHITECTURES)


def test_the_spdx_document_names_what_is_in_the_tarballs(tree, version):
    document = json.loads((tree / f"dist/epoll-echo-{version}.spdx.json").read_text())
    assert document["spdxVersion"] == "SPDX-2.3" and document["dataLicense"] == "CC0-1.0"
    assert document["SPDXID"] == "SPDXRef-DOCUMENT" and document["documentNamespace"].startswith("https://")
    packages = {package["name"]: package for package in document["packages"]}
    assert packages["epoll-echo"]["versionInfo"] == version
    assert packages["epoll-echo"]["licenseDeclared"] == "MIT" == packages["musl"]["licenseDeclared"]
    known = {"SPDXRef-DOCUMENT", *(item["SPDXID"] for item in document["packages"] + document["files"])}
    for relation in document["relationships"]:
        assert {relation["spdxElementId"], relation["relatedSpdxElement"]} <= known
    for file in document["files"]:
        content = (tree / "dist" / file["fileName"].removeprefix("./")).read_bytes()
        assert {"algorithm": "SHA256", "checksumValue": hashlib.sha256(content).hexdigest()} in file["checksums"]
    assert len(document["files"]) == len(ARCHITECTURES)


def test_another_folder_and_zone_make_the_same(tree, tmp_path, figure):
    names = list(ARCHITECTURES) if LONG else ["amd64", "s390x"]
    other = copy_tree(tmp_path / "another-and-longer-folder")
    if LONG:  # with a musl of its own
        (other / "build/musl").mkdir(parents=True)
    build(other, "dist", f"ARCHITECTURES={' '.join(names)}", TZ="Pacific/Kiritimati", LC_ALL="C.UTF-8")
    made = sorted((other / "dist").glob("*.tar.gz"))
    assert len(made) == len(names)
    for path in made:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert digest == hashlib.sha256((tree / "dist" / path.name).read_bytes()).hexdigest()
        figure(f"{path.name}: {path.stat().st_size} bytes, sha256 {digest}")
