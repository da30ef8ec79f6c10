"""What is measured: the servers, the loads, and what the figures have to show.

A load is a command line for echo-bench. Everything that a run yields is called by the names in
METRICS; the report and the quotes in the documents use the same names.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Server:
    name: str
    what: str
    protocol: str = "tcp"
    most: int = 1000000  # connections that it can serve, or that it is sensible to give it
    quick: bool = False  # also in the short form
    program: str = ""  # another build of epoll-echo


SERVERS = [
    Server("epoll-echo", "this project", quick=True),
    Server("raw", "this project, with the role raw"),
    Server("epoll", "epoll, edge-triggered, sends back what it reads without looking", quick=True),
    Server("epoll-level", "the same, level-triggered as epoll-echo is"),
    Server("libuv", "libuv with uv_try_write"),
    Server("libevent", "libevent's bufferevents"),
    Server("io_uring", "io_uring with a stock of buffers"),
    Server("thread", "a thread per client"),
    Server("poll", "poll(2)", quick=True),
    Server("select", "select(2), at most 1,024 descriptors", most=1000),
    Server("epoll-echo-udp", "this project, over UDP", protocol="udp", quick=True),
    Server("udp-pair", "UDP, one recvfrom and one sendto per epoll_wait", protocol="udp", quick=True),
]
SUBJECT = "epoll-echo"
UDP_SUBJECT = "epoll-echo-udp"
# The servers that are epoll-echo, by what opens their port; the others are models.
OWN = {SUBJECT: ["--port=0"], "raw": ["--port=none", "--listen=raw:0/tcp"], UDP_SUBJECT: ["--port=0"]}


def builds(programs):
    """The servers that another build of epoll-echo is, by name and path of each."""
    return [Server(name + end, f"epoll-echo as built at {path}", protocol=protocol, quick=True, program=path)
            for name, path in programs.items() for end, protocol in (("", "tcp"), ("-udp", "udp"))]


@dataclasses.dataclass(frozen=True)
class Load:
    name: str
    what: str
    options: str
    connections: int  # in all
    protocol: str = "tcp"
    mean: bool = False  # one of those in the geometric mean
    quick: bool = False  # also in the short form
    instead: str = ""  # for servers that cannot take that load alone
    rest: bool = False  # count wakeups, too
    beside: str = ""  # what another echo-bench does meanwhile
    prompt: bool = False  # the load goes before everything else on its core, or its own lateness would be measured
    turn: float = 0.03  # seconds of a turn; 0: all of a run is one
    calls: bool = False  # count the server's system calls, too


LOADS = [
    Load("tcp-1", "1 connection, 1 in flight", "-c 1", 1, mean=True, calls=True),
    Load("tcp-50", "50 connections, 1 in flight", "-c 50", 50, mean=True, quick=True, calls=True),
    Load("tcp-50x16", "50 connections, 16 in flight", "-c 50 -d 16", 50, mean=True, quick=True, calls=True),
    Load("tcp-1000", "1,000 connections", "-c 1000", 1000, mean=True, calls=True),
    Load("tcp-10000", "10,000 connections", "-c 10000", 10000, mean=True, turn=0.15, calls=True),
    Load("tcp-50-4000", "50 connections, 4,000 bytes", "-c 50 -s 4000", 50, mean=True, calls=True),
    Load("tcp-50x16-4000", "50 connections, 16 in flight, 4,000 bytes", "-c 50 -d 16 -s 4000", 50,
         mean=True, calls=True),
    Load("churn", "connect, one line, close", "--churn -c 50", 50, calls=True),
    Load("open-10000", "open loop, 10,000 messages a second", "-c 50 -d 100 -r 10000", 50, turn=0),
    Load("polite", "one polite client: 500 lines a second", "-c 1 -d 10000 -r 500", 1, prompt=True, turn=0),
    Load("flood", "the same beside 16 that flood", "-c 1 -d 10000 -r 500", 17, prompt=True, turn=0,
         beside="-c 16 -d 1000 -s 4000 -w 0 -t 60"),
    Load("idle-900", "50 active beside 900 idle", "-c 50 --idle=900", 950,
         instead="idle-10000", rest=True),
    Load("idle-1000", "50 active beside 1,000 idle", "-c 50 --idle=1000", 1050),
    Load("idle-10000", "50 active beside 10,000 idle", "-c 50 --idle=10000", 10050, quick=True,
         rest=True),
    Load("idle-18000", "50 active beside 18,000 idle", "-c 50 --idle=18000", 18050),
    Load("udp-1", "1 socket, 1 in flight", "--udp -c 1", 1, protocol="udp", calls=True),
    Load("udp-16x8", "16 sockets, 8 in flight", "--udp -c 16 -d 8", 16, protocol="udp", quick=True, calls=True),
    # No more in flight than the receive buffer of a server has room for, in which a train that it takes one by one
    # is half as large again.
    Load("udp-4x32", "4 sockets, 32 in flight", "--udp -c 4 -d 32", 4, protocol="udp", calls=True),
    Load("udp-4x32-gso", "the same in trains", "--udp --gso -c 4 -d 32", 4, protocol="udp", calls=True),
    Load("udp-2x32-1200", "2 sockets, 32 in flight, 1,200 bytes", "--udp -c 2 -d 32 -s 1200", 2, protocol="udp",
         calls=True),
    Load("udp-2x32-1200-gso", "the same in trains", "--udp --gso -c 2 -d 32 -s 1200", 2, protocol="udp", calls=True),
]


def fits(server, load, quick=False):
    """Whether SERVER is given LOAD."""
    if quick and not (server.quick and load.quick):
        return False
    if server.protocol != load.protocol or load.connections > server.most:
        return False
    # A load in place of another is only for those that cannot take the other.
    return not load.instead or next(
        other for other in LOADS if other.name == load.instead).connections > server.most


# The same measurement under a second name: no idle connections is 50 connections.
ALIASES = {"tcp-50": "idle-0"}

# name -> (unit, where it stands in echo-bench's JSON)
METRICS = {
    "cpu_us": ("µs of the server's CPU per message", ("server", "cpu_us_per_message")),
    "bench_cpu_us": ("µs of echo-bench's CPU per message", ("client", "cpu_us_per_message")),
    "switches": ("context switches of the server per message", ("server", "context_switches_per_message")),
    "rate": ("messages per second", ("messages_per_second",)),
    "p50_us": ("µs of latency", ("latency_us", "p50")),
    "p90_us": ("µs of latency", ("latency_us", "p90")),
    "p99_us": ("µs of latency", ("latency_us", "p99")),
    "p999_us": ("µs of latency", ("latency_us", "p999")),
    "max_us": ("µs of latency", ("latency_us", "max")),
    "rss_bytes": ("bytes of RSS per idle connection", ("server", "rss_bytes_per_idle_connection")),
    "pss_bytes": ("bytes of PSS per idle connection", ("server", "pss_bytes_per_idle_connection")),
    "late_us": ("µs that echo-bench was late, the 99th percentile", ("lateness_us", "p99")),
    "wakeups": ("wakeups per second at rest", ("server", "wakeups_per_second_at_rest")),
    "joules": ("joules per million messages", ("server", "joules_per_million_messages")),
}

# name -> what is known of system calls, and not from echo-bench
CALLS = {
    "calls": "system calls of the server per message",
    "calls_us": "µs per message that these take if they do nothing",
    "calls_percent": "per cent that this is of cpu_us",
}


@dataclasses.dataclass(frozen=True)
class Claim:
    what: str
    server: str  # "a/b" is a ratio of two servers' figures, taken round by round
    load: str  # "a/b" is a ratio of two loads
    metric: str
    most: float | None = None
    least: float | None = None


# What the figures must show.
CLAIMS = [
    Claim("CPU per message against a raw epoll loop, geometric mean over the TCP loads",
          "epoll-echo/epoll", "tcp-mean", "cpu_us", most=1.05),
    Claim("… of the role raw, 4,000 bytes", "raw/epoll", "tcp-50-4000", "cpu_us", most=1.00),
    Claim("… of the role raw, 50 × 16 in flight", "raw/epoll", "tcp-50x16", "cpu_us", most=1.00),
    Claim("… against libuv", "epoll-echo/libuv", "tcp-mean", "cpu_us", most=1.00),
    Claim("… against libevent", "epoll-echo/libevent", "tcp-mean", "cpu_us", most=0.65),
    Claim("… against a thread per client", "epoll-echo/thread", "tcp-mean", "cpu_us", most=0.80),
    Claim("CPU per message with 18,000 idle connections against none", "epoll-echo",
          "idle-18000/idle-0", "cpu_us", most=1.10),
    Claim("poll(2) at the same point against epoll-echo", "poll/epoll-echo", "idle-18000", "cpu_us",
          least=15),
    Claim("UDP, 16 peers, against one recv and one send per wait", "epoll-echo-udp/udp-pair",
          "udp-16x8", "cpu_us", most=0.85),
    Claim("Latency of a polite client beside 16 that flood, p99, against a raw epoll loop",
          "epoll-echo/epoll", "flood", "p99_us", most=0.50),
    Claim("Memory per idle connection, in bytes", "epoll-echo", "idle-10000", "rss_bytes", most=96),
    Claim("… of a thread per client against epoll-echo", "thread/epoll-echo", "idle-10000",
          "rss_bytes", least=50),
    Claim("Wakeups per second at rest, 10,000 connections open", "epoll-echo", "idle-10000",
          "wakeups", most=0),
    Claim("echo-bench's own CPU per message against epoll-echo's, 50 × 16 in flight",
          "bench/epoll-echo", "tcp-50x16", "cpu_us", most=1.0),
]
