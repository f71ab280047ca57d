"""fio over the drop-in libraries, beside the same command over the system's."""

import json

from ..children import Trouble
from ..model import Contestant, Line, ratio_at_least, ratio_at_most
from ..places import cached, cold

OPTIONS = ("--name=job --bs=4k --runtime={seconds} --output-format=json --slat_percentiles=1 "
           "--invalidate=0 --randrepeat=0")


def fio_turn(child):
    job = json.loads(child.output[child.output.index("{"):])["jobs"][0]
    if job["error"]:
        raise Trouble(f"fio failed with error {job['error']}")
    side = job["write" if job["write"]["total_ios"] else "read"]
    if not side["total_ios"]:
        raise Trouble("fio did nothing")
    turn = {"rate": side["iops"], "processor": child.processor / side["total_ios"]}
    percentiles = side["slat_ns"].get("percentile")
    if percentiles:
        turn["submit p99"] = percentiles["99.000000"] / 1e3
    return turn


def fio(name, options, goals=(), run="", file="memory_large"):
    command = f"{run} fio {OPTIONS} --filename={{{file}}} {options}"
    return Contestant(name, command, list(goals), reader=fio_turn, program="fio")


def beside_itself(name, title, options, before, goal, file="memory_large"):
    """The same command with and without the libraries."""
    if before is cached:
        options += " --time_based"
    return Line(
        f"fio-{name}", f"fio: {title}", operation="operation", needs_root=file.startswith("memory"),
        before=before(file),
        peers=[fio("the system's library", options, file=file)],
        ours=[fio("`aio run`", options, [goal], "{aio} run --", file)])


POSIX, LINUX = "--ioengine=posixaio --iodepth=64 --rw=", "--ioengine=libaio --iodepth=64 --rw="
THREADS = "{aio} run --engine threads --"

LINES = [
    Line(
        "fio-cold", "fio: cold reads, depth 64, beside its own engine for io_uring", needs_root=True,
        before=cold("memory_large"),
        peers=[fio("fio's io_uring", "--ioengine=io_uring --iodepth=64 --rw=randread")],
        ours=[fio("posixaio, `aio run`", POSIX + "randread", [ratio_at_least("rate", 1)], "{aio} run --"),
              fio("libaio, `aio run`", LINUX + "randread", [ratio_at_least("rate", 1.1)], "{aio} run --"),
              fio("posixaio, threads", POSIX + "randread", [ratio_at_least("rate", 0.95)], THREADS),
              fio("libaio, threads", LINUX + "randread", [ratio_at_least("rate", 0.95)], THREADS)]),
    beside_itself("posix-cold", "POSIX AIO, cold reads", POSIX + "randread", cold, ratio_at_least("rate", 8)),
    beside_itself("linux-cold", "Linux AIO, cold reads", LINUX + "randread", cold, ratio_at_least("rate", 6)),
    beside_itself("posix-cold-disk", "POSIX AIO, cold reads, the disk", POSIX + "randread", cold,
                  ratio_at_least("rate", 4), "large"),
    beside_itself("linux-cold-disk", "Linux AIO, cold reads, the disk", LINUX + "randread", cold,
                  ratio_at_least("rate", 3), "large"),
    beside_itself("direct-64", "Linux AIO, direct reads, depth 64", LINUX + "randread --direct=1", cached,
                  ratio_at_most("processor", 1.05)),
    beside_itself("direct-1", "Linux AIO, direct reads, depth 1",
                  "--ioengine=libaio --iodepth=1 --direct=1 --rw=randread", cached, ratio_at_most("processor", 1.05)),
    beside_itself("linux-cached", "Linux AIO, cached reads", LINUX + "randread", cached, ratio_at_least("rate", 0.95)),
    beside_itself("posix-cached", "POSIX AIO, cached reads", POSIX + "randread", cached, ratio_at_least("rate", 0.95)),
    beside_itself("linux-writes", "Linux AIO, buffered writes", LINUX + "randwrite", cached,
                  ratio_at_least("rate", 0.9)),
    beside_itself("posix-writes", "POSIX AIO, buffered writes", POSIX + "randwrite", cached,
                  ratio_at_least("rate", 0.9)),
]
