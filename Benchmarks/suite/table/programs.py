"""What programs take: memory, and the time until they have started."""

from ..children import whole_run
from ..model import Contestant, Line, at_most


def start(name, command, milliseconds):
    return Line(
        "start-" + name.lstrip("-"), f"start of `aio {name}`", operation="run", unit="ms", runs=20,
        peers=[Contestant("an empty Swift program", "{bench_empty}", reader=whole_run)],
        ours=[Contestant(f"`aio {name}`", command, [at_most("time", milliseconds)], reader=whole_run)])


MEMORY = [
    Line(
        "memory-operation", "memory of an operation in flight: a task that polls",
        peers=[Contestant("C over io_uring", "{bench_c} ring-memory 4000")],
        ours=[Contestant("a task on a loop", "{bench_aio} memory operations 4000", [at_most("memory", 1)])],
        note="Without the kernel's own memory, which is the same for both."),
    Line(
        "memory-connection", "memory of an idle connection: a task in `connection.read()`", operation="connection",
        peers=[],
        ours=[Contestant("a task on a loop", "{bench_aio} memory connections 4000", [at_most("memory", 2)])]),
    Line(
        "memory-runtime", "memory of a runtime", operation="runtime", peers=[],
        ours=[Contestant("`IORuntime`", "{bench_aio} memory runtimes 32", [at_most("memory", 700)])]),
]

START = [
    start("--help", "{aio} --help", 7),
    start("probe", "{aio} probe {disk}", 20),
]
