"""Connections: servers that `aio bench echo` alternates by itself."""

import json
import os
import shlex
import tempfile

from .. import children
from ..model import Contestant, Line, ratio_at_least


def echo_turns(runner, line, outcome):
    """Runs `aio bench echo`, and returns what it says of each contestant in each round."""
    connections = line.name.removeprefix("echo-")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        report = os.path.join(folder, "report")
        duration = "100ms" if runner.is_quick else "500ms"
        command = shlex.split("{aio} bench echo --engines io_uring,threads".format_map(runner.places))
        command += ["--connections", connections, "--rounds", str(runner.rounds), "--duration", duration]
        for name in ("epoll_echo", "nio_echo", "nio_echo_async"):
            if name in runner.places:
                command += ["--peer", runner.places[name]]
            else:
                outcome.absent.append(f"{name} is missing: it was not built.")
        children.run(command + ["--json", report])
        with open(report) as file:
            rows = json.load(file)["sections"][0]["lines"]
    return {row["contestant"]: turns_of(row) for row in rows}


def turns_of(row):
    # The processor time and the latencies are over all rounds.
    latency = row["latency"]
    whole = {"processor": row["processorNsPerRoundTrip"] * 1e-9, "p50": latency["p50"] / 1e3,
             "p99": latency["p99"] / 1e3}
    return [{"rate": rate, **whole} for rate in row["roundTripsPerSecondByRound"]]


def echo(connections):
    return Line(
        f"echo-{connections}", f"echo of 64 bytes, {connections:,} connections, one thread that serves",
        operation="round trip", joint=echo_turns,
        peers=[Contestant("epoll-echo", "{epoll_echo}"), Contestant("nio-echo", "{nio_echo}"),
               Contestant("nio-echo-async", "{nio_echo_async}")],
        ours=[Contestant(f"{engine}, {way}", "{aio}", [ratio_at_least("rate", 0.95)] if way == "await" else [])
              for engine in ("io_uring", "threads") for way in ("IOQueue", "await")],
        note="`epoll-echo` is a plain loop in C; the processor time is the server's.")


LINES = [echo(64), echo(1000)]
