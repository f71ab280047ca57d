"""Running one program: its output, its time, and that of its children; nothing of it is left behind."""

import json
import os
import signal
import tempfile
import threading
import time
from dataclasses import dataclass


class Trouble(Exception):
    """Something that ends the run with one line."""


@dataclass
class Child:
    """A program that has ended."""

    output: str
    errors: str
    seconds: float
    processor: float


# A program that takes longer than this many seconds hangs.
PATIENCE = 900


def run(command, environment=None, patience=PATIENCE):
    """Runs a program to its end, and returns it. An exception, such as that of Ctrl-C, ends all of its group."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        begin = time.monotonic()
        # In a group of its own, so that its children can be ended with it, and Ctrl-C is for us to pass on.
        process = os.posix_spawnp(
            command[0], command, environment or dict(os.environ), setpgroup=0,
            file_actions=[(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                          (os.POSIX_SPAWN_DUP2, output.fileno(), 1), (os.POSIX_SPAWN_DUP2, errors.fileno(), 2)])
        status = None
        alarm = threading.Timer(patience, kill_group, (process,))
        alarm.daemon = True
        alarm.start()
        try:
            _, status, usage = os.wait4(process, 0)
            seconds = time.monotonic() - begin
        finally:
            alarm.cancel()
            end_group(process, is_reaped=status is not None)
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGKILL and seconds >= patience:
        raise Trouble(f"{' '.join(command)}: did not end within {patience} s")
    if code != 0:
        reason = texts[1].strip().splitlines()[-1:] or [f"it ended with {code}"]
        raise Trouble(f"{' '.join(command)}: {reason[0]}")
    return Child(texts[0], texts[1], seconds, usage.ru_utime + usage.ru_stime)


def kill_group(process):
    try:
        os.killpg(process, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # It has ended, and perhaps another has its number.
        pass


def end_group(process, is_reaped):
    """Ends what is left of a program's group."""
    kill_group(process)
    if not is_reaped:
        os.waitpid(process, 0)


def printed_turn(child):
    """The measures that a program of ours has printed, for each operation."""
    figures = json.loads(child.output.strip().splitlines()[-1])
    operations = figures["operations"]
    if operations < 1:
        raise Trouble("a program reported no operations")
    turn = {key: figures[key] for key in ("p50", "p99", "p99.9") if key in figures}
    if "memory" in figures:
        turn["memory"] = figures["memory"] / operations / 1024
    if "seconds" in figures:
        turn["time"] = figures["seconds"] / operations
        turn["rate"] = operations / figures["seconds"]
        turn["processor"] = figures["processor"] / operations
    if "allocations" in figures:
        turn["allocations"] = figures["allocations"] / operations
    return turn


def whole_run(child):
    """The measures of a program that is itself the operation."""
    return {"time": child.seconds, "processor": child.processor}
