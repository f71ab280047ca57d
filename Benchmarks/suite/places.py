"""The files, trees and devices that lines work on: made when a line first names them, and removed at the end."""

import contextlib
import mmap
import os
import random
import shutil
import subprocess
import tempfile
import time

from .children import Trouble

MIB = 1 << 20


class Places(dict):
    """What the braces of a command stand for: programs, and places that are made on demand."""

    def __init__(self, programs, disk, is_quick, stack):
        super().__init__(programs)
        self.folder_on_disk = disk
        self.is_quick = is_quick
        self.stack = stack
        self.fresh_count = 0
        self.made = {}

    def __missing__(self, name):
        # Not kept: each use is another name, since ext4 avoids inodes that were just deleted.
        if name in ("fresh", "memory_fresh"):
            self.fresh_count += 1
            folder = self["memory" if name == "memory_fresh" else "disk"]
            return os.path.join(folder, f"copy-{self.fresh_count}")
        maker = getattr(self, f"make_{name}", None)
        if maker is None:
            raise Trouble(f"a command names {{{name}}}, which is no place and no program that was built")
        self[name] = maker()
        return self[name]

    def size(self, full, quick):
        return quick if self.is_quick else full

    # Folders

    def make_disk(self):
        return self.stack.enter_context(tempfile.TemporaryDirectory(dir=self.folder_on_disk, prefix="bench-"))

    def make_memory(self):
        """ext4 on a loop device over a file in memory: a real block layer and page cache, without a disk's bursts."""
        return self.stack.enter_context(memory_device(self.size(4 << 30, 1 << 30)))

    # Files: each has a power of two of blocks, so that each block is read once.

    def make_file(self):
        return make_file(os.path.join(self["disk"], "file"), self.size(64 * MIB, 16 * MIB))

    def make_large(self):
        return make_file(os.path.join(self["disk"], "large"), self.size(1024 * MIB, 128 * MIB))

    def make_written(self):
        return make_file(os.path.join(self["disk"], "written"), self.size(256 * MIB, 32 * MIB))

    def make_memory_large(self):
        return make_file(os.path.join(self["memory"], "large"), self.size(1024 * MIB, 128 * MIB))

    def make_small(self):
        return make_file(os.path.join(self["disk"], "small"), 64 << 10)

    def make_text(self):
        return make_text(os.path.join(self["disk"], "text"), self.size(256 * MIB, 16 * MIB))

    # Trees

    def make_tree(self):
        return make_tree(os.path.join(self["disk"], "tree"), self.size(20000, 1000))

    def make_memory_tree(self):
        return make_tree(os.path.join(self["memory"], "tree"), self.size(20000, 1000))

    def make_entries(self):
        """Empty files, 100 in a folder: with the folders, 202,000 entries and the root."""
        root = os.path.join(self["disk"], "entries")
        for folder in range(self.size(2000, 100)):
            name = os.path.join(root, str(folder))
            os.makedirs(name)
            for file in range(100):
                os.close(os.open(os.path.join(name, f"file-{file}"), os.O_WRONLY | os.O_CREAT, 0o644))
        return root


def make_file(path, size):
    """Random bytes, on the disk when this returns."""
    with open(path, "wb") as file:
        for start in range(0, size, MIB):
            file.write(os.urandom(min(MIB, size - start)))
        os.fsync(file.fileno())
    return path


def make_text(path, size):
    """Lines of 0 to 99 bytes."""
    numbers = random.Random(1)
    lines = b"".join(b"x" * numbers.randrange(100) + b"\n" for _ in range(20000))
    with open(path, "wb") as file:
        for _ in range(size // len(lines)):
            file.write(lines)
    return path


def make_tree(root, files):
    """Small files of 1 to 16,384 bytes, 100 in a folder."""
    numbers = random.Random(1)
    block = numbers.randbytes(MIB)
    for index in range(files):
        name = os.path.join(root, str(index // 2000), str(index // 100))
        if index % 100 == 0:
            os.makedirs(name)
        start = numbers.randrange(MIB // 2)
        with open(os.path.join(name, f"file-{index}"), "wb") as file:
            file.write(block[start:start + numbers.randint(1, 16384)])
    os.sync()
    return root


@contextlib.contextmanager
def memory_device(size):
    with contextlib.ExitStack() as stack:
        image = stack.enter_context(tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="bench-"))
        image.truncate(size)
        quietly(["mkfs.ext4", "-q", "-F", image.name])
        folder = tempfile.mkdtemp(prefix="bench-")
        stack.callback(os.rmdir, folder)
        stack.callback(unmount, folder)
        quietly(["mount", "-o", "loop", image.name, folder])
        yield folder


def quietly(command):
    try:
        subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise Trouble(f"{command[0]} is not installed") from None
    except subprocess.CalledProcessError as error:
        raise Trouble(f"{' '.join(command)}: {error.stderr.strip()}") from None


def unmount(folder):
    """Repeats while a program that was ended still has a file open."""
    if not os.path.ismount(folder):
        return
    for _ in range(100):
        if subprocess.run(["umount", folder], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return
        time.sleep(0.1)
    raise Trouble(f"cannot unmount {folder}")


# What lines have done before each turn.

def cached(name):
    """The whole file in the page cache, and nothing of it to be written back."""
    def prepare(places):
        with open(places[name], "rb", buffering=0) as file:
            os.fsync(file.fileno())
            while file.read(MIB):
                pass
    return prepare


def cold(name):
    """Nothing of the file in the page cache."""
    def prepare(places):
        with open(places[name], "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            back_memory(os.fstat(file.fileno()).st_size)
    return prepare


def back_memory(size):
    """Touches as much memory and frees it, for the page cache to take next. A virtual machine may have returned what was
    free to its host, and the program that touches it first would pay for getting it back."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    mmap.mmap(-1, size, flags=flags).close()


def visited(name):
    """The tree's names and inodes in the kernel's caches."""
    def prepare(places):
        subprocess.run(["du", "-s", places[name]], stdout=subprocess.DEVNULL, check=True)
    return prepare


def dropped(name):
    """Nothing in the kernel's caches but the programs. Needs root."""
    def prepare(places):
        # Made before the caches are dropped, if this is its first use.
        places[name]
        os.sync()
        with open("/proc/sys/vm/drop_caches", "w") as file:
            file.write("3")
        back_memory(places.size(1 << 30, 128 * MIB))
        # Loading the programs from the disk is not part of what is measured.
        for command in ([places["aio"], "--help"], [places["aio"], "du", "-s", "/proc/self/fdinfo"], ["cp", "--help"],
                        ["du", "--help"], ["sha256sum", "--help"], ["sh", "-c", "find --help | xargs --help"]):
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return prepare


def remove_copies(places):
    """Removes what lines made under fresh names."""
    for name in ("disk", "memory"):
        folder = dict.get(places, name)
        for entry in os.scandir(folder) if folder else []:
            if entry.name.startswith("copy-"):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)
                else:
                    os.unlink(entry.path)
