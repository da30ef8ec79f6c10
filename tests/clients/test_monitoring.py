"""Prometheus and a browser read the pages, promtool contrib/'s files; HAProxy takes a daemon out by its word."""

import concurrent.futures
import contextlib
import html
import itertools
import json
import re
import signal
import subprocess
import threading
import urllib.parse
import urllib.request

import pytest

from harness import pages
from harness.browser import browse
from harness.clients import Client
from harness.daemon import ROOT, Daemon
from harness.wait import wait_until
from programs import Program, need, output

RULES = ROOT / "contrib/epoll-echo.rules.yml"
DASHBOARD = ROOT / "contrib/epoll-echo-dashboard.json"
MADE_BY_PROMETHEUS = {"up"}
NAME = r"\b(?:epoll_echo_\w+|process_\w+|up)\b"

PROMETHEUS = 19090
SCRAPING = """
rule_files: [{rules}]
scrape_configs:
  - job_name: epoll-echo
    scrape_interval: 1s
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@pytest.fixture(scope="module")
def monitored(namespace):
    with Daemon("--listen=http:127.0.0.1:0", listening=3) as daemon:
        yield daemon


def page_port(daemon):
    return daemon.port_of("tcp", role="http")


# Prometheus


def test_promtool_finds_nothing_in_the_page(monitored):
    text = pages.get(page_port(monitored), "/metrics").body
    assert output(["promtool", "check", "metrics"], input=text) == (0, b"")


def test_promtool_takes_the_rules():
    status, text = output(["promtool", "check", "rules", str(RULES)])
    assert status == 0 and b"SUCCESS: 7 rules found" in text, text


def asked_for(text):
    return set(re.findall(NAME, text))


def test_rules_and_dashboard_ask_only_for_what_there_is(monitored):
    there = {re.sub(r"\{.*", "", name) for name in pages.metrics(page_port(monitored))} | MADE_BY_PROMETHEUS
    rules = re.findall(r"^ +expr: (.*)", RULES.read_text(), re.MULTILINE)
    dashboard = json.loads(DASHBOARD.read_text())
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    shown.append(dashboard["templating"]["list"][1]["query"])
    for expression in rules + shown:
        assert asked_for(expression) and asked_for(expression) <= there, expression
    ours = {name for name in there if name.startswith("epoll_echo_")}
    assert ours - asked_for(" ".join(shown)) == {"epoll_echo_commands_total", "epoll_echo_udp_peers"}


def answer_of(path, **query):
    """What Prometheus answers to a call of its API; None as long as it does not."""
    with contextlib.suppress(OSError):
        url = f"http://127.0.0.1:{PROMETHEUS}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)["data"]
    return None


def value_of(expression):
    found = answer_of("query", query=expression)
    return float(found["result"][0]["value"][1]) if found and found["result"] else None


def test_prometheus_scrapes_it_and_takes_the_rules(monitored, tmp_path):
    need("prometheus")
    config = tmp_path / "prometheus.yml"
    config.write_text(SCRAPING.format(rules=RULES, port=page_port(monitored)))
    with Program("prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}",
                 f"--web.listen-address=127.0.0.1:{PROMETHEUS}"):
        wait_until(lambda: value_of("up") == 1, "a scrape")
        with Client("127.0.0.1", monitored.tcp_port) as client:
            assert client.ask(b"here\n") == b"here\n"
            wait_until(lambda: value_of("epoll_echo_connections") == 1, "the connection to be seen")
        wait_until(lambda: value_of('epoll_echo_connections_closed_total{reason="eof"}') == 1, "its end to be seen")
        rules = answer_of("rules")["groups"][0]["rules"]
        assert len(rules) == 7 and not any(rule.get("lastError") for rule in rules)


@pytest.mark.parametrize("path", ["/metrics", "/livez", "/readyz", "/nothing"])
def test_a_browser_shows_the_page(monitored, path):
    """As text, all of it; what it asks for by itself, an icon, is no fault of the server's."""
    port = page_port(monitored)
    done = browse(f"http://127.0.0.1:{port}{path}", "--dump-dom")
    shown = re.search(r"<pre[^>]*>(.*)</pre>", done.stdout, re.DOTALL)
    assert shown, done.stdout + done.stderr
    names = re.compile(r"^[\w#].*?(?= [-+.\de]+$|$)", re.MULTILINE)  # the numbers differ
    page = pages.get(port, path).body.decode()
    assert names.findall(html.unescape(shown[1])) == names.findall(page)


# HAProxy in front of three, by their words alone. The second port may try elsewhere once it is refused.

BACKENDS, ENDS, WORKERS, DELAY = 3, 20, 8, 2
STRICT, TRYING = 2101, 2102
HAPROXY = """global
    stats socket {place}/socket
defaults
    mode tcp
    timeout connect 30s
    timeout client 30s
    timeout server 30s
    balance leastconn
    default-server check inter 100ms fall 1 rise 1 agent-check agent-inter 100ms agent-send "/health\\n"
listen strict
    bind 127.0.0.1:2101
    retries 0
{servers}
listen trying
    bind 127.0.0.1:2102
    retries 3
    option redispatch 1
{servers}
"""


class Balanced:
    """Daemons of fixed ports and HAProxy in front of them."""

    def __init__(self, place, stack):
        need("/usr/sbin/haproxy")
        self.stack, self.control = stack, f"{place}/socket"
        self.daemons = [self.started(number) for number in range(BACKENDS)]
        servers = "\n".join(f"    server e{n} 127.0.0.1:{self.port(n)} agent-port {self.port(n)}" for n in range(BACKENDS))
        (place / "configuration").write_text(HAPROXY.format(place=place, servers=servers))
        self.program = stack.enter_context(Program("/usr/sbin/haproxy", "-db", "-f", str(place / "configuration")))
        for number in range(BACKENDS):
            self.await_state(number, "UP")

    @staticmethod
    def port(number):
        return 2110 + number

    def started(self, number):
        return self.stack.enter_context(
            Daemon(f"--port={self.port(number)}", f"--drain-delay={DELAY}", port=None))

    def states(self, number):
        """How HAProxy has that server, in both lists."""
        done = subprocess.run(["socat", "-", f"unix-connect:{self.control}"], input=b"show stat\n",
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        return re.findall(rf"^\w+,e{number},(?:[^,]*,){{15}}([^,]*),", done.stdout.decode(), re.MULTILINE)

    def await_state(self, number, *states):
        wait_until(lambda: (found := self.states(number)) and all(state.split()[0] in states for state in found),
                   f"e{number} {states}")

    def end(self, number):
        """Ends one gracefully once HAProxy has taken it out, and starts it again."""
        daemon = self.daemons[number]
        daemon.signal(signal.SIGTERM)
        self.await_state(number, "DRAIN")
        assert daemon.process.poll() is None, "its delay was over before it was taken out"
        daemon.ended()
        daemon.kill()
        self.daemons[number] = self.started(number)
        self.await_state(number, "UP")


class Load:
    """Workers that ask one question a connection, one after the other, until it is left as a context."""

    def __init__(self, port):
        self.port, self.over = port, threading.Event()
        self.asked, self.lost = itertools.count(), []
        self.workers = [threading.Thread(target=self.work, daemon=True) for _ in range(WORKERS)]

    def work(self):
        while not self.over.is_set():
            question = b"%d\n" % next(self.asked)
            try:
                with Client("127.0.0.1", self.port) as client:
                    answer = client.ask_all(question)
            except OSError as error:
                answer = error
            if answer != question:
                self.lost.append((question, answer))

    def asked_so_far(self):
        return int(re.search(r"\d+", repr(self.asked))[0])

    def go_on(self, count=200):
        """Waits until COUNT further questions have been asked."""
        goal = self.asked_so_far() + count
        wait_until(lambda: self.asked_so_far() >= goal, "further questions")

    def __enter__(self):
        for worker in self.workers:
            worker.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for worker in self.workers:
            worker.join()


@pytest.fixture
def balanced(namespace, tmp_path):
    need("socat")
    with contextlib.ExitStack() as stack:
        yield Balanced(tmp_path, stack)


def test_of_twenty_that_end_nobody_loses_a_question(balanced):
    """Two of three at a time, without HAProxy's trying again."""
    with Load(STRICT) as load, concurrent.futures.ThreadPoolExecutor(2) as pool:
        load.go_on()
        for turn in range(ENDS // 2):
            list(pool.map(balanced.end, (turn % BACKENDS, (turn + 1) % BACKENDS)))
        load.go_on()
    assert load.lost == []
    print(f"{load.asked_so_far()} questions")


def test_of_one_that_is_killed_only_what_it_had_in_hand_is_lost(balanced):
    with Load(TRYING) as load:
        load.go_on()
        balanced.daemons[0].kill()
        balanced.await_state(0, "DOWN")
        load.go_on()
    assert len(load.lost) <= WORKERS
