import hashlib
import os
import random
import re
import stat

from .base import Found, Program

PENDING = re.compile(r'\.aio-copy-[0-9a-z]{13}')


def described(path):
    """What a copy has to be equal in."""
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        return 'link', os.readlink(path)
    if stat.S_ISDIR(status.st_mode):
        return 'directory', stat.S_IMODE(status.st_mode), status.st_mtime_ns
    with open(path, 'rb') as file:
        digest = hashlib.md5(file.read()).hexdigest()
    return 'file', stat.S_IMODE(status.st_mode), status.st_mtime_ns, status.st_nlink, status.st_size, digest


def tree(root):
    entries = {'.': described(root)}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(folder, name)
            entries[os.path.relpath(path, root)] = described(path)
    return entries


class Copy(Program):
    """`FileSystem.copy` with `sync`: a file under its name is whole at every moment; all is there after the return."""

    name = 'copy'
    wrong = {'no-sync': 'the option `sync` is off'}

    def __init__(self, context):
        super().__init__(context)
        self.source = os.path.join(context.work, 'source')
        if not os.path.exists(self.source):
            self.make_source()
        self.expected = tree(os.path.join(self.source, 'tree'))
        self.versions = [described(os.path.join(self.source, 'versions', name)) for name in '01']

    def make_source(self):
        """Small files, which are copied in batches, a large one with holes, which several workers copy, and links."""
        # The same each time, so that a kept recording can be replayed.
        bytes_of = random.Random(0).randbytes
        for number in range(20):
            self.make_file(f'tree/small/{number}', bytes([1 + number]) * (number * 1009))
            self.make_file(f'tree/deep/{number % 3}/er/{number}', bytes_of(3000 + number))
        self.make_file('tree/large', bytes_of(300000), 4 << 20, bytes_of(100000))
        for name, size in [('0', 70000), ('1', 30000)]:
            self.make_file(f'versions/{name}', name.encode() * size)
        root = os.path.join(self.source, 'tree')
        os.symlink('small/3', os.path.join(root, 'symbolic'))
        os.link(os.path.join(root, 'small/5'), os.path.join(root, 'deep/hard'))
        os.chmod(os.path.join(root, 'small/7'), 0o4750)
        for folder, _, files in os.walk(self.source, topdown=False):
            for path in [os.path.join(folder, name) for name in files] + [folder]:
                os.utime(path, (1e9, 1e9), follow_symlinks=False)

    def make_file(self, name, start, hole=0, end=b''):
        path = os.path.join(self.source, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as file:
            file.write(start)
            file.seek(hole, os.SEEK_CUR)
            file.write(end)

    def run(self, folder, marks):
        self.context.run([self.context.binary('power-loss-program'), 'copy', folder, marks, '8',
                          self.context.wrong or 'right', self.source])

    def check(self, folder, marks):
        found = Found()
        done = {mark.split('.')[1] for mark in marks if mark.startswith('copied.')}
        for name in done:
            self.check_whole(found, os.path.join(folder, name))
        for name in set(os.listdir(folder)) - done - {'lost+found', 'file'}:
            if not PENDING.fullmatch(name):
                self.check_part(found, os.path.join(folder, name))
        self.check_file(found, os.path.join(folder, 'file'), marks)
        return found

    def check_whole(self, found, path):
        there = tree(path) if os.path.isdir(path) else {}
        for name, entry in self.expected.items():
            found.expect(there.get(name) == entry, f'{path}: {name} is {there.get(name)}, and was {entry}')
        extra = there.keys() - self.expected.keys()
        found.require(not extra, f'{path} has {sorted(extra)} too')

    def check_part(self, found, path):
        for name, entry in tree(path).items():
            if entry[0] != 'file' or PENDING.fullmatch(os.path.basename(name)):
                continue
            # Other names of the file may be missing yet.
            expected = self.expected.get(name, [''] * 6)
            found.require(entry[4:] == tuple(expected[4:]), f'{path}: {name} is {entry}, and was {expected}')

    def check_file(self, found, path, marks):
        done = [int(mark.split('.')[1]) for mark in marks if mark.startswith('file.')]
        begun = [int(mark.split('.')[1]) for mark in marks if mark.startswith('begin.')]
        if not os.path.exists(path):
            if done:
                found.expect(False, f'{path} was copied, and is not there')
            return
        entry = described(path)
        if done and begun[-1] == done[-1]:
            found.expect(entry == self.versions[done[-1] % 2], f'{path} is {entry} after version {done[-1]}')
        else:
            found.require(entry in self.versions, f'{path} is torn: {entry}')
