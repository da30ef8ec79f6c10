"""Attacks on whoever keeps the log."""

import math
import time

from ground import connect, flooding, serving
from harness.clients import Peer
from harness.wait import wait_until

LINES_PER_SECOND = 20
ALWAYS = {"listening", "started", "stopping", "stopped"}  # what no client causes
NASTY = "level=error msg=forged"


def clients_of(control):
    """All that have come over TCP, whether they were let in or not."""
    now = control.stats()
    return now["busy_tcp"] + now["total_clients"]


def log_flood(polite, verbosity, turned_away):
    """At the cap every client is two events, coming and going; debugging, every turn is one too."""
    begun = time.monotonic()
    with serving(f"--max-tcp={polite.connections + 1}", *([verbosity] if verbosity else [])) as server:
        control = connect(server)
        polite.begin(server, control)
        before = clients_of(control)
        with flooding("connect", server.tcp_port, 16, NASTY + "\n") as flood:
            wait_until(lambda: control.stats()["busy_tcp"] >= turned_away, "the flood to be turned away")
            figures = polite.end()
        wait_until(lambda: clients_of(control) >= before + flood["connected"], "the last of them")
        events = 2 * clients_of(control)
        with Peer("127.0.0.1", server.udp_port) as udp:
            for _ in range(500):
                udp.send(b"ERR " + NASTY.encode())
                assert udp.ask(NASTY.encode()) == NASTY.encode()
        control.close()
        server.stop()
        seconds = time.monotonic() - begun
        caused = [record for record in server.records if record["msg"] not in ALWAYS]
        dropped = sum(int(record.get("suppressed", 0)) for record in server.records)
        assert "forged" not in server.log_text()
        assert len(caused) <= LINES_PER_SECOND * (math.ceil(seconds) + 1), len(caused)
        # What is not written is counted.
        assert len(caused) + dropped >= events if verbosity else not caused
        return {**figures, "events": len(caused) + dropped, "lines": len(caused), "dropped": dropped,
                "seconds": seconds}
