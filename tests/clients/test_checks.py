"""Monitoring: check_tcp and check_udp of the Monitoring Plugins, and monit's generic protocol."""

import re

import pytest

from programs import Program, output

PLUGINS = "/usr/lib/nagios/plugins"


@pytest.mark.parametrize("check, port, question", [
    ("check_tcp", 7, ["--send=hello", "--expect=hello"]),
    ("check_udp", 7, ["--send=ERR hello", "--expect=ERR hello"]),
    ("check_tcp", 12345, ["--escape", r"--send=/whoami\n", "--expect=proto=tcp peer=127.0.0.1:"]),
    ("check_tcp", 9, ["--send=hello"]),
])
def test_a_plugin_is_content(check, port, question):
    status, text = output([f"{PLUGINS}/{check}", "--hostname=127.0.0.1", f"--port={port}", *question])
    assert status == 0 and b" OK - " in text, text


def test_a_plugin_that_sends_no_lf_shows_why_the_echo_port_does_not_answer():
    status, text = output([f"{PLUGINS}/check_tcp", "--hostname=127.0.0.1", "--port=12345", "--send=hello",
                           "--expect=hello"])
    assert status != 0 and b"ERR line-timeout" in text, text


MONITRC = r"""set daemon 1
set pidfile {place}/pid
set idfile {place}/id
set statefile {place}/state
check host raw with address 127.0.0.1
    if failed port 7 type tcp send "hello" expect "hello" then alert
check host datagrams with address 127.0.0.1
    if failed port 7 type udp send "ERR hello" expect "ERR hello" then alert
check host lines with address 127.0.0.1
    if failed port 12345 type tcp send "hello\n" expect "hello\n" then alert
check host unended with address 127.0.0.1
    if failed port 12345 type tcp send "hello" expect "hello" then alert
"""


def test_monit(tmp_path):
    """One that sends no LF to the echo port says why it fails."""
    config = tmp_path / "monitrc"
    config.write_text(MONITRC.format(place=tmp_path))
    config.chmod(0o600)
    with Program("monit", "-I", "-v", "-c", str(config)) as monit:
        monit.await_text(r"'unended' failed protocol test .*received unexpected data \[ERR line-timeout\]")
        for name in ("raw", "datagrams", "lines"):
            assert re.search(rf"'{name}' succeeded testing protocol \[generic\]", monit.text()), monit.text()
