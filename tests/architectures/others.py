"""The other architectures, and what is built for them."""

import os
import platform
from typing import NamedTuple

import pytest

from conftest import BUILD, make, need


class Architecture(NamedTuple):
    triple: str
    qemu: str
    bits: int


ARCHITECTURES = {
    "arm64": Architecture("aarch64-linux-gnu", "aarch64", 64),
    "armhf": Architecture("arm-linux-gnueabihf", "arm", 32),
    "i386": Architecture("i686-linux-gnu", "i386", 32),
    "ppc64el": Architecture("powerpc64le-linux-gnu", "ppc64le", 64),
    "riscv64": Architecture("riscv64-linux-gnu", "riscv64", 64),
    "s390x": Architecture("s390x-linux-gnu", "s390x", 64),
}
# ARCHITECTURES may name some.
for_each = pytest.mark.parametrize("name", os.environ.get("ARCHITECTURES", " ".join(ARCHITECTURES)).split())


def build(name, *words, directory=None):
    compiler = f"{ARCHITECTURES[name].triple}-gcc"
    need(compiler)
    return make(f"CC={compiler}", "WERROR=1", "ENABLE_SYSTEMD=1", *words, directory=directory or BUILD / name)


def under(name):
    """The words before a program that run it, on this machine's processor if it can."""
    triple = ARCHITECTURES[name].triple
    if (platform.machine(), name) == ("x86_64", "i386"):
        return [f"/usr/{triple}/lib/ld-linux.so.2", "--library-path", f"/usr/{triple}/lib"]
    emulator = f"qemu-{ARCHITECTURES[name].qemu}"
    need(emulator)
    # Signed addresses are slow to emulate as the architecture has them.
    quick = ["-cpu", "max,pauth-impdef=on"] if name == "arm64" else []
    return [emulator, *quick, "-L", f"/usr/{triple}"]
