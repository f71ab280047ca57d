"""The recording of a program's run: what was written to the disk, flushed, and promised, in one order."""
import bisect
import contextlib
import mmap
import os
import shutil
import struct
import subprocess

from . import kernel

RECORD = struct.Struct('=c7xQQ')
ZEROS = bytes(1 << 16)
WRITE, ZERO, FLUSH, MARK = b'W', b'Z', b'F', b'M'


class Recording:
    """`base` is the image before the first record. Records are (kind, offset, length, place of the data)."""

    def __init__(self, folder):
        self.base = os.path.join(folder, 'base')
        self.records, self.flushes, self.marks = [], [], []
        with open(os.path.join(folder, 'log'), 'rb') as file:
            self.log = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        place = 0
        while place < len(self.log):
            kind, offset, length = RECORD.unpack_from(self.log, place)
            place += RECORD.size
            index = len(self.records)
            if kind == FLUSH:
                self.flushes.append(index)
            if kind == MARK:
                self.marks.append((index, self.log[place:place + length].decode()))
            self.records.append((kind, offset, length, place))
            if kind in (WRITE, MARK):
                place += length
        names = {name: index for index, name in self.marks}
        # Crashes are of interest while the program ran: not in its preparations, nor in the unmount. A program may mark
        # a shorter time itself.
        self.start, self.end = names.get('ready', names['start']), names.get('finished', names['end'])

    def counts(self):
        kinds = [record[0] for record in self.records[self.start:self.end]]
        return {name: kinds.count(kind) for name, kind in
                [('writes', WRITE), ('discards', ZERO), ('flushes', FLUSH), ('marks', MARK)]}

    def durable(self, point):
        """The number of records that a crash before record `point` cannot lose: those before the last flush.

        A flush on a real disk need not cover a write that was in flight with it. Here it does if the write was recorded
        first: some states that a disk could be in are not made, and none that it could not be in."""
        index = bisect.bisect_left(self.flushes, point)
        return self.flushes[index - 1] if index else 0

    def promises(self, point):
        return [name for index, name in self.marks[:bisect.bisect_left(self.marks, (point, ''))]]

    def apply(self, index, image, part=None):
        """Carries out a record on an open image, or the sectors `part` (start, end) of it."""
        kind, offset, length, place = self.records[index]
        start, end = part or (0, length)
        end = min(end, length)
        if kind == WRITE:
            os.pwrite(image, self.log[place + start:place + end], offset + start)
        elif kind == ZERO:
            os.pwrite(image, bytes(end - start), offset + start)


def make(folder, tools, system, run):
    """Records what `run(folder, marks)` does on a new file system."""
    kernel.require(system.name)
    os.makedirs(folder)
    base, live, log, stage, disk = (os.path.join(folder, name) for name in ['base', 'live', 'log', 'stage', 'disk'])
    os.mkdir(stage)
    os.mkdir(disk)
    with open(base, 'wb') as file:
        file.truncate(system.mebibytes << 20)
    system.format(base)
    copy_sparse(base, live)
    marks = os.path.join(stage, 'marks')
    with recording_mount(tools, live, log, stage):
        with contextlib.ExitStack() as stack:
            with kernel.loop_device(os.path.join(stage, 'image'), True, 512) as device:
                stack.enter_context(kernel.mounted(device, disk, system.name, system.options))
            mark(marks, 'start')
            run(disk, marks)
            mark(marks, 'end')
    os.unlink(live)
    return Recording(folder)


@contextlib.contextmanager
def recording_mount(tools, image, log, target):
    device = os.open('/dev/fuse', os.O_RDWR)
    options = f'fd={device},rootmode=40000,user_id=0,group_id=0,allow_other'
    with contextlib.ExitStack() as stack:
        try:
            kernel.mount('recording', target, 'fuse', options)
            server = subprocess.Popen([os.path.join(tools, 'recording_fs'), str(device), image, log],
                                      pass_fds=[device])
        finally:
            os.close(device)
        stack.callback(wait, server)
        stack.callback(kernel.unmount, target)
        yield


def wait(server):
    """The server ends with its mount, and has then written all of the log."""
    if server.wait(60) != 0:
        raise RuntimeError('recording_fs failed')


def mark(marks, name):
    os.close(os.open(os.path.join(marks, name), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def copy_sparse(source, target):
    """Replaces a file's content with another's, without what is a hole there."""
    with open(source, 'rb') as source_file, open(target, 'r+b' if os.path.exists(target) else 'w+b') as target_file:
        size = os.fstat(source_file.fileno()).st_size
        target_file.truncate(0)
        target_file.truncate(size)
        end = 0
        while True:
            try:
                start = os.lseek(source_file.fileno(), end, os.SEEK_DATA)
            except OSError:
                return
            end = os.lseek(source_file.fileno(), start, os.SEEK_HOLE)
            while start < end:
                start += copy_range(source_file.fileno(), target_file.fileno(), start, end - start)


def copy_range(source, target, start, count):
    data = os.pread(source, min(count, 1 << 16), start)
    # The logs of file systems are mostly zeros.
    if data != ZEROS[:len(data)]:
        os.pwrite(target, data, start)
    return len(data)


def keep(folder, to):
    os.makedirs(to, exist_ok=True)
    copy_sparse(os.path.join(folder, 'base'), os.path.join(to, 'base'))
    shutil.copyfile(os.path.join(folder, 'log'), os.path.join(to, 'log'))
