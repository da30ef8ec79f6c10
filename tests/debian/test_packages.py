"""The packages as they are built: nothing for lintian to say, and the same from anywhere."""

import hashlib
import re
import shutil
import subprocess

import pytest

from harness.tree import copy_tree, make


def output(*command, **details):
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, **details).stdout


def packages(tree):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tree / "dist").glob("*.deb")}


def package(tree, name):
    (path,) = (tree / "dist").glob(f"{name}_*.deb")
    return path


def test_lintian_finds_no_error_and_no_warning(tree, figure):
    if not shutil.which("lintian"):
        pytest.skip("lintian is not installed: make setup")
    (changes,) = (tree / "build/deb").glob("*.changes")
    done = subprocess.run(["lintian", "--allow-root", "--display-info", "--pedantic", "--show-overrides",
                           changes], capture_output=True, text=True, timeout=120, check=False)
    tags = re.findall(r"^[A-Z]: .*", done.stdout, re.MULTILINE)
    for tag in tags:
        figure(f"lintian: {tag}")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert not [tag for tag in tags if tag[0] in "EW"], done.stdout


def test_another_folder_zone_language_and_umask_make_the_same(tree, tmp_path, figure):
    other = copy_tree(tmp_path / "another-and-longer-folder")
    make("deb", tree=other, prefix=["sh", "-c", 'umask 077 && exec "$@"', "sh"], TZ="Pacific/Kiritimati",
         LC_ALL="C.UTF-8", LANG="C.UTF-8", HOME=str(tmp_path), DEB_BUILD_OPTIONS="nocheck parallel=1")
    assert len(packages(other)) == 4
    assert packages(other) == packages(tree)
    for name, digest in sorted(packages(tree).items()):
        figure(f"{name}: {(tree / 'dist' / name).stat().st_size} bytes, sha256 {digest}")


def test_the_version_is_that_of_the_news(tree):
    version = output("packaging/news", "version", cwd=tree).strip()
    for name in ("epoll-echo", "echo-bench"):
        assert output("dpkg-deb", "-f", package(tree, name), "Version").strip() == version


def test_each_command_has_its_package(tree):
    contents = {name: output("dpkg-deb", "-c", package(tree, name)) for name in ("epoll-echo", "echo-bench")}
    for name, text in contents.items():
        assert re.findall(r"\./usr/s?bin/(\S+)", text) == {"echo-bench": [name, "echo-bench-report"]}.get(name, [name])
        assert len(re.findall(rf"\./usr/share/(?:bash|fish|zsh).*/_?{name}(?:\.fish)?$", text, re.MULTILINE)) == 3
        assert f"/{name}." in text and "/man/man" in text
    assert "systemd" not in contents["echo-bench"]


def test_it_is_hardened_as_debian_has_it(tree, tmp_path):
    output("dpkg-deb", "-x", package(tree, "epoll-echo"), tmp_path)
    elf = output("readelf", "-hldW", tmp_path / "usr/bin/epoll-echo")
    assert "DYN" in elf and "BIND_NOW" in elf and "GNU_RELRO" in elf
    assert re.findall(r"NEEDED.*\[(.*)\]", elf) == ["libc.so.6"]
