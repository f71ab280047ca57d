"""The file server beside nginx: both run during the whole line, and wrk asks one after the other."""

import contextlib
import importlib.util
import os
import shutil
import tempfile
from importlib.machinery import SourceFileLoader

from ..builds import ROOT, say
from ..children import Trouble
from ..model import Contestant, Line, ratio_at_least, ratio_at_most

ENGINES = ("io_uring", "threads")


def bench():
    """`Benchmarks/serve`, which has more tables than this line."""
    loader = SourceFileLoader("serve_bench", os.path.join(ROOT, "Benchmarks/serve"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("serve_bench", loader))
    loader.exec_module(module)
    return module


def serve_turns(size):
    """A function that measures the line for files of this size."""
    def measure(runner, line, outcome):
        for program in ("nginx", "wrk"):
            if not shutil.which(program):
                raise Trouble(f"{program} is not there")
        serve = bench()
        serve.AIO = runner.places["aio"]
        try:
            return turns(serve, runner, line, size)
        except SystemExit as ended:
            if isinstance(ended.__context__, KeyboardInterrupt):
                # A server that Ctrl-C reached too ended the bench before.
                raise KeyboardInterrupt from None
            raise Trouble(str(ended)) from None
    return measure


def turns(serve, runner, line, size):
    taken = {contestant.name: [] for contestant in line.contestants}
    # nginx's workers run as another user if root starts it, so the folder must be readable.
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="bench-") as folder, contextlib.ExitStack() as stack:
        os.chmod(folder, 0o755)
        site = os.path.join(folder, "site")
        os.mkdir(site)
        serve.make_site(site)
        servers = {"nginx": stack.enter_context(serve.nginx(site, folder, 1))}
        for engine in ENGINES:
            servers[f"`aio serve`, {engine}"] = stack.enter_context(serve.aio(site, 1, engine))
        for number in range(runner.rounds):
            say(f"{line.name}: round {number + 1} of {runner.rounds}")
            for name in servers if number % 2 == 0 else reversed(servers):
                load = serve.turn(servers[name], f"/{size}", 1 if runner.is_quick else 5)
                taken[name].append(
                    {"rate": load.rate, "p99": load.p99 * 1e3, "processor": load.processor * 1e-6})
    return taken


def line(title, size):
    goals = [ratio_at_least("rate", 1), ratio_at_most("processor", 1)]
    return Line(
        f"serve-{size}", f"`aio serve`: cached files of {title}, 64 connections, one loop or worker",
        operation="answer", joint=serve_turns(size), peers=[Contestant("nginx", "")],
        ours=[Contestant(f"`aio serve`, {engine}", "{aio}", goals) for engine in ENGINES],
        note="The processor time is the server's.")


LINES = [line("1 KiB", "1k"), line("16 KiB", "16k")]
