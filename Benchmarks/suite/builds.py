"""Builds what is compared: the command, this library's programs and their peers, and the drop-in libraries."""

import os
import shutil
import subprocess
import sys

from .children import Trouble

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# The packages, with the names that commands have for their programs. Without the last one there are fewer peers.
PACKAGES = [
    ("Benchmarks/programs", {
        "bench_c": "bench-c", "bench_aio": "bench-aio", "bench_foundation": "bench-foundation",
        "bench_empty": "bench-empty", "bench_count": "bench-count"}),
    ("Command", {"aio": "aio"}),
    ("Benchmarks/peers", {"nio_echo": "nio-echo", "nio_echo_async": "nio-echo-async", "nio_files": "nio-files",
                          "epoll_echo": "epoll-echo"}),
]


def say(text):
    print(text, file=sys.stderr, flush=True)


def build_all(lines):
    """Builds the programs that the lines name. Returns their paths, and what could not be built."""
    commands = " ".join(contestant.command for line in lines for contestant in line.contestants)
    programs, missing = {}, []
    for package, names in PACKAGES:
        if not any(f"{{{name}}}" in commands for name in names):
            continue
        say(f"building {package}")
        try:
            folder = build(package)
        except Trouble as trouble:
            # SwiftNIO has to be fetched, which a machine without a network cannot.
            if package != "Benchmarks/peers":
                raise
            missing.append(str(trouble))
            continue
        programs.update({name: os.path.join(folder, file) for name, file in names.items()})
    if "{aio} run" in commands:
        say("building the drop-in libraries")
        output([os.path.join(ROOT, "Scripts/build-dropins")])
    # Debian has it under another name.
    fd = shutil.which("fd") or shutil.which("fdfind")
    if fd:
        programs["fd"] = fd
    return programs, missing


def build(package):
    """The folder of the package's release build."""
    if not shutil.which("swift"):
        raise Trouble("swift is not installed")
    command = ["swift", "build", "-c", "release", "--package-path", os.path.join(ROOT, package)]
    output(command)
    return output(command + ["--show-bin-path"]).strip()


def output(command):
    # Its own session, so that Ctrl-C reaches it through us: the compilers that it started end with it.
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        process_group=0)
    try:
        text, errors = process.communicate()
    except BaseException:
        os.killpg(process.pid, 15)
        process.communicate()
        raise
    if process.returncode != 0:
        lines = [line for line in (errors + text).splitlines() if "error" in line] or errors.splitlines()
        raise Trouble(f"{' '.join(command)}: {(lines or ['it failed'])[0].strip()}")
    return text


def commit():
    """The commit that is measured, and whether anything was changed since."""
    try:
        name = subprocess.run(
            ["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
        changes = subprocess.run(
            ["git", "-C", ROOT, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
        return name.strip() + (" with changes" if changes.strip() else "")
    except (OSError, subprocess.CalledProcessError):
        return "no commit"
