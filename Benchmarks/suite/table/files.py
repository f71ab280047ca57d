"""Small files, streams of files, and blocks that are cold or written."""

from ..model import Contestant, Line, at_most, ratio_at_least
from ..places import cached, cold


def in_both_places(name, subject, microseconds):
    goals = [at_most("time", microseconds)] if microseconds else []
    return [Contestant(f"{name}, {where}", f"{{bench_aio}} {subject} {place} {{small}} {{count}}", goals)
            for where, place in (("plain task", "plain"), ("task on a loop", "loop"))]


SMALL = [
    Line(
        "read-file", "a cached file of 64 KiB, opened, read and closed", operation="file", count=50_000,
        counted=(200, 1200), before=cached("small"),
        peers=[
            Contestant("open+read+close", "{bench_c} read-file {small} {count}"),
            Contestant("Foundation `Data`", "{bench_foundation} {small} {count}"),
            Contestant("NIOFS", "{nio_files} read-file {small} {count}", program="nio_files"),
        ],
        ours=in_both_places("`readFile`", "read-file", 10) + in_both_places("`withFile` and a read", "with-file", 12)),
    Line(
        "open", "open and close of a file that is in the directory cache", operation="file", count=100_000,
        counted=(200, 1200),
        peers=[Contestant("open+close", "{bench_c} open {small} {count}")],
        ours=in_both_places("`File.open`", "open", 5)),
    Line(
        "status", "the status of a file that is in the directory cache", operation="file", count=200_000,
        counted=(200, 1200),
        peers=[Contestant("statx", "{bench_c} status {small} {count}")],
        ours=in_both_places("`FileSystem.status`", "status", None)),
]

STREAMS = [
    Line(
        "lines", "lines of a cached file of 256 MiB", operation="line", before=cached("text"),
        peers=[Contestant("getline", "{bench_c} getline {text}"),
               Contestant("chunks split by hand in C", "{bench_c} split {text}")],
        ours=[Contestant("`byteLines`", "{bench_aio} lines bytes {text}", [at_most("time", 0.06)]),
              Contestant("`lines`", "{bench_aio} lines text {text}", [at_most("time", 0.12)])]),
    Line(
        "chunks", "1 GiB from the beginning to the end, cold", operation="MiB", before=cold("large"),
        peers=[Contestant("read(2) of 1 MiB", "{bench_c} chunks {large} 1048576"),
               Contestant("NIOFS", "{nio_files} chunks {large}", program="nio_files")],
        ours=[
            Contestant("`chunks`, plain task", "{bench_aio} chunks plain {large}", [ratio_at_least("rate", 1)]),
            Contestant("`chunks`, task on a loop", "{bench_aio} chunks loop {large}", [ratio_at_least("rate", 1)]),
            Contestant("`chunks` of 1 MiB, plain task", "{bench_aio} chunks plain {large} 1048576"),
        ]),
]

WRITE_GOALS = [ratio_at_least("rate", 1), at_most("processor", 3)]

BLOCKS = [
    Line(
        "writes", "buffered writes of 4 KiB on the disk, 64 in flight", operation="write", count=200_000,
        before=cached("written"),
        peers=[Contestant("a loop of pwrite", "{bench_c} pwrite {written} {count}"),
               Contestant("C over io_uring", "{bench_c} ring-write {written} 64 {count}")],
        ours=[
            Contestant("io_uring, 64 tasks on a loop", "{bench_aio} tasks-write loop {written} 64 {count}",
                       WRITE_GOALS, engine="io_uring"),
            Contestant("io_uring, `IOQueue`", "{bench_aio} queue-write {written} 64 {count}", WRITE_GOALS,
                       engine="io_uring"),
            Contestant("threads, `IOQueue`", "{bench_aio} queue-write {written} 64 {count}", WRITE_GOALS,
                       engine="threads"),
        ],
        note="The disk is the folder of `--disk`; the figures that the wanted values go back to are from ext4."),
]


def cold_line(name, title, file, limits, **more):
    """Cold reads by every engine. `limits` are the wanted rates of a queue, a loop and plain tasks on `io_uring`, and
    those of `threads` and `readahead`."""
    ours = []
    ways = [("`IOQueue`", f"queue-read {{{file}}} 64"), ("64 tasks on a loop", f"tasks-read loop {{{file}}} 64"),
            ("64 plain tasks", f"tasks-read plain {{{file}}} 64")]
    for engine in ("io_uring", "threads", "linux-aio", "readahead"):
        for way, (text, command) in enumerate(ways if engine == "io_uring" else ways[:2]):
            limit = limits.get(engine, [None] * 3)[way]
            goals = [ratio_at_least("rate", limit)] if limit else []
            ours.append(Contestant(f"{engine}, {text}", f"{{bench_aio}} {command} {{count}}", goals, engine=engine))
    return Line(
        name, title, operation="read", count=100_000, before=cold(file),
        peers=[Contestant("C over io_uring", f"{{bench_c}} ring-read {{{file}}} 64 {{count}}"),
               Contestant("NIOFS", f"{{nio_files}} read {{{file}}} 64 {{count}}", program="nio_files"),
               Contestant("pread", f"{{bench_c}} pread {{{file}}} {{count}}")],
        ours=ours, **more)


COLD = [
    cold_line("cold-memory", "cold reads of 4 KiB, depth 64, ext4 on a loop device over memory", "memory_large",
              {"io_uring": [1, 0.95, 0.85], "threads": [0.95, 0.95]}, needs_root=True),
    cold_line("cold-disk", "cold reads of 4 KiB, depth 64, the disk", "large",
              {"io_uring": [1, 1, 1], "threads": [1, 1], "readahead": [1, 1]}),
]

LINES = SMALL + STREAMS
