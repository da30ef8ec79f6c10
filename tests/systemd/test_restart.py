# SPDX-License-Identifier: MIT
"""A restart that clients do not notice, under a real systemd."""
from test_service import PORT, SERVICE, as_installed, main_pid  # noqa: F401

from harness.clients import Client


def test_a_client_goes_on(guest):
    with Client("::1", PORT) as client:
        assert client.ask(b"first\n") == b"first\n"
        client.send(b"half ")
        before = main_pid(guest)
        guest.run("systemctl", "restart", SERVICE)
        assert main_pid(guest) != before
        assert client.ask(b"line\n") == b"half line\n"
        print(guest.run("journalctl", "-u", SERVICE, "-n", "30"))
