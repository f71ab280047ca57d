"""The machine: what it is, who else uses it, and whether it counts instructions."""

import os
import platform
import re
import resource
import shutil
import tempfile

from . import children

# PF_KTHREAD of the kernel's sched.h. Its threads work for the contestants too, such as a loop device's.
KERNEL_THREAD = 0x00200000
TICKS = os.sysconf("SC_CLK_TCK")
# Shares of the machine's time that others may take before times are left out.
QUIET = 0.05


def description():
    model = platform.processor() or "processors"
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return f"Linux {platform.release()}, {os.cpu_count()} x {model}, {memory} GiB"


def _kernel_threads():
    """The processor time that each of the kernel's threads has taken so far, in seconds."""
    threads = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            # Bytes, since a process may give itself any name.
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rsplit(b")", 1)[1].split()
        except OSError:
            continue
        if int(fields[6]) & KERNEL_THREAD:
            threads[name] = (int(fields[11]) + int(fields[12])) / TICKS
    return threads


def _busy():
    """The time that processors have worked for processes or for other machines, in seconds. See proc_stat(5)."""
    with open("/proc/stat") as file:
        user, nice, system, _, _, _, _, steal = (int(text) for text in file.readline().split()[1:9])
    return (user + nice + system) / TICKS, steal / TICKS


def _ours():
    total = 0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    return total


class Load:
    """The share of the machine's time that others take from the beginning on: processes that are not our children, and
    what a hypervisor gives to other machines."""

    def __init__(self):
        self.begin = self._now()

    @staticmethod
    def _now():
        return os.times().elapsed, *_busy(), _ours(), _kernel_threads()

    def share(self):
        (began, busy, stolen, ours, threads), now = self.begin, self._now()
        time = (now[0] - began) * os.cpu_count()
        if time <= 0:
            return 0.0
        kernel = sum(max(0, used - threads.get(name, 0)) for name, used in now[4].items())
        others = now[1] - busy - (now[3] - ours) - kernel
        return min(1.0, (max(0.0, others) + now[2] - stolen) / time)


class Counter:
    """Counts user instructions: by the processor's counter, or by valgrind, or not at all."""

    def __init__(self, programs):
        self.helper = programs.get("bench_count")
        self.way = None
        if self.helper and self._tries([self.helper, "true"]):
            self.way = "processor"
        elif shutil.which("strip") and self._tries(["valgrind", "-q", "--tool=none", "true"]):
            self.way = "valgrind"

    @staticmethod
    def _tries(command):
        try:
            children.run(command)
            return True
        except (children.Trouble, OSError):
            return False

    @property
    def text(self):
        return {"processor": "counted by the processor", "valgrind": "counted by valgrind",
                None: "not counted: there is neither perf_event_open(2) nor valgrind with strip"}[self.way]

    def count(self, command, environment):
        """The user instructions of a program with all its threads, and how many of its system calls were missing."""
        if self.way == "processor":
            return int(children.run([self.helper] + command, environment).errors.split()[-1]), 0
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            log = os.path.join(folder, "log")
            # Without debug information, which valgrind cannot read in all its versions.
            program = shutil.copy(command[0], os.path.join(folder, "program"))
            children.run(["strip", "-g", program])
            children.run(
                ["valgrind", "--tool=cachegrind", "--cache-sim=no", f"--log-file={log}",
                 f"--cachegrind-out-file={os.path.join(folder, 'out')}", program] + command[1:], environment,
                patience=60)
            with open(log) as file:
                text = file.read()
        found = re.search(r"I +refs: +([\d,]+)", text)
        if not found:
            raise children.Trouble(f"valgrind counted nothing of {command[0]}")
        return int(found.group(1).replace(",", "")), text.count("WARNING: unhandled")
