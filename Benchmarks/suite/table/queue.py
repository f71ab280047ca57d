"""Operations through a queue or by tasks, without a device."""

from ..model import Contestant, Line, at_most, ratio_at_most
from ..places import cached


def nop(depth, instructions, microseconds=None):
    goals = [at_most("instructions", instructions)]
    if microseconds:
        goals.append(at_most("time", microseconds))
    return Line(
        f"nop-{depth}", f"no-operations through `IOQueue`, depth {depth}", count=4_000_000 if depth > 1 else 1_000_000,
        counted=(6400, 64000),
        peers=[Contestant("C over io_uring", f"{{bench_c}} ring-nop {depth} {{count}}")],
        ours=[Contestant("`IOQueue`", f"{{bench_aio}} queue-nop {depth} {{count}}", goals, engine="io_uring")],
        note="Twice the instructions of a loop over liburing (60 and 141) are wanted, whose calls this peer's ring "
             "does not have.")


LINES = [
    nop(64, 120, 0.13),
    nop(16, 120),
    nop(1, 280, 0.65),
    Line(
        "cached-64", "cached reads of 4 KiB, depth 64", count=1_000_000, counted=(2560, 12800), before=cached("file"),
        peers=[Contestant("C over io_uring", "{bench_c} ring-read {file} 64 {count}")],
        ours=[
            Contestant("`IOQueue`", "{bench_aio} queue-read {file} 64 {count}", [
                at_most("instructions", 156), ratio_at_most("time", 1.05)], engine="io_uring"),
            Contestant("64 tasks on a loop", "{bench_aio} tasks-read loop {file} 64 {count}", [
                ratio_at_most("time", 1.05)], engine="io_uring"),
        ],
        note="User instructions do not contain the copy, which the kernel makes. Twice those of a loop over liburing "
             "are wanted."),
    Line(
        "cached-1", "cached reads of 4 KiB through `IOQueue`, depth 1", count=300_000, counted=(2560, 12800),
        before=cached("file"),
        peers=[Contestant("C over io_uring", "{bench_c} ring-read {file} 1 {count}")],
        ours=[Contestant("`IOQueue`", "{bench_aio} queue-read {file} 1 {count}", [at_most("instructions", 324)],
                         engine="io_uring")]),
    Line(
        "cached-task", "cached reads of 4 KiB by one task, `await file.read(into:)`", count=500_000,
        counted=(2560, 12800), before=cached("file"),
        peers=[Contestant("pread", "{bench_c} pread {file} {count}"),
               Contestant("NIOFS", "{nio_files} read {file} 1 {count}", program="nio_files")],
        ours=[
            Contestant("plain task", "{bench_aio} tasks-read plain {file} 1 {count}", [ratio_at_most("time", 1.05)]),
            Contestant("task on a loop", "{bench_aio} tasks-read loop {file} 1 {count}", [ratio_at_most("time", 1.05)]),
        ]),
    Line(
        "cached-latency", "latency of cached reads of 4 KiB, 64 tasks on a loop", count=500_000, before=cached("file"),
        peers=[Contestant("pread", "{bench_c} pread {file} {count} timed")],
        ours=[Contestant("64 tasks on a loop", "{bench_aio} timed-read {file} 64 {count}", [
            at_most("p99.9", 300), at_most("p50", 1.3)])]),
    Line(
        "perform-nop", "`perform(.nop)`, one task", count=200_000, peers=[],
        ours=[Contestant("task on a loop", "{bench_aio} perform-nop loop {count}", [at_most("time", 0.6)]),
              Contestant("plain task", "{bench_aio} perform-nop plain {count}", [
                  at_most("time", 20), at_most("allocations", 1)])],
        note="No peer: C has no tasks to resume."),
]
