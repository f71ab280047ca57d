"""Whole commands on trees."""

from ..children import whole_run
from ..model import Contestant, Line, at_most, ratio_at_most
from ..places import dropped, visited


def run(name, command, goals=(), program=None):
    return Contestant(name, command, list(goals), reader=whole_run, program=program)


def command_line(name, title, peers, ours, **more):
    return Line(name, title, peers=peers, ours=ours, operation="run", unit="s", **more)


def copy(name, where, tree, fresh, seconds):
    return command_line(
        name, f"copy of 20,000 small files, cold, {where}",
        [run("`cp -a`", f"cp -a {{{tree}}} {{{fresh}}}"),
         run("`rsync -a`", f"rsync -a {{{tree}}} {{{fresh}}}", program="rsync")],
        [run("`aio copy`", f"{{aio}} copy {{{tree}}} {{{fresh}}}", [at_most("time", seconds)])],
        needs_root=True, before=dropped(tree),
        note="`aio copy` creates each file under a temporary name first, which `cp` does not.")


LINES = [
    copy("copy-disk", "the disk", "tree", "fresh", 1.0),
    copy("copy-memory", "ext4 on a loop device over memory", "memory_tree", "memory_fresh", 1.8),
    command_line(
        "copy-large", "copy of a file of 1 GiB, cold, the disk",
        [run("`cp -a`", "cp -a {large} {fresh}")],
        [run("`aio copy`", "{aio} copy {large} {fresh}", [ratio_at_most("time", 1)])],
        needs_root=True, before=dropped("large")),
    command_line(
        "hash", "SHA-256 of 20,000 small files, cold, the disk",
        [run("`xargs -P 16 sha256sum`", "sh -c 'find {tree} -type f -print0 | xargs -0 -n 64 -P 16 sha256sum'"),
         run("`xargs sha256sum`", "sh -c 'find {tree} -type f -print0 | xargs -0 sha256sum'")],
        [run("`aio hash`", "{aio} hash {tree}", [at_most("time", 0.8)])], needs_root=True, before=dropped("tree")),
    command_line(
        "du", "usage of a cached tree of 202,000 entries",
        [run("`du -s`", "du -s {entries}")],
        [run("`aio du -s`", "{aio} du -s {entries}", [ratio_at_most("time", 0.7), ratio_at_most("processor", 1.2)])],
        before=visited("entries")),
    command_line(
        "walk", "walk of a cached tree of 202,000 entries",
        [run("`find`", "find {entries} -type p"),
         run("`fd`", "{fd} -uu --type pipe . {entries}", program="fd")],
        [run("`FileSystem.walk`, plain task", "{bench_aio} walk plain {entries}", [at_most("time", 0.2)]),
         run("`FileSystem.walk`, task on a loop", "{bench_aio} walk loop {entries}")],
        before=visited("entries")),
]
