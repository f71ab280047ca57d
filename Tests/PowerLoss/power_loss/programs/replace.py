import os
import re

from .base import Found, Program

LEFTOVER = re.compile(r'\.aio-replace-[0-9a-z]{13}')


def content(version):
    return version.to_bytes(8, 'little') + bytes([1 + version % 251]) * (version * 7919 % 100000)


class Replace(Program):
    """`FileSystem.replaceFile`: old or new content whole, and the new one once the call has returned."""

    name = 'replace'
    wrong = {'no-sync': 'the file is not synced, but the directory is',
             'no-directory-sync': 'the directory is not synced'}

    def run(self, folder, marks):
        self.context.run([self.context.binary('power-loss-program'), 'replace', folder, marks, '40',
                          self.context.wrong or 'right'])

    def check(self, folder, marks):
        found = Found()
        begun, done = {}, {}
        for mark in marks:
            kind, _, rest = mark.partition('.')
            if kind in ('begin', 'done'):
                name, version = rest.split('.')
                (begun if kind == 'begin' else done)[name] = int(version)
        names = set(os.listdir(folder)) - {'lost+found'}
        leftovers = {name for name in names if LEFTOVER.fullmatch(name)}
        pending = sum(done.get(name) != version for name, version in begun.items())
        found.require(len(leftovers) <= pending,
                      f'{len(leftovers)} temporary files, but {pending} replacements in progress')
        for name in sorted(names - leftovers):
            found.require(name in begun, f'{name} is nobody\'s')
        for name, version in sorted(begun.items()):
            self.check_file(found, folder, name, version, done.get(name), name in names)
        return found

    def check_file(self, found, folder, name, begun, done, exists):
        if done is not None:
            found.expect(exists, f'{name} was replaced durably with version {done}, and is not there')
        if not exists:
            return
        with open(os.path.join(folder, name), 'rb') as file:
            data = file.read()
        version = int.from_bytes(data[:8], 'little')
        if len(data) < 8 or version > begun or data != content(version):
            found.violations.append(f'{name} is torn: {len(data)} bytes, {data[:8].hex()}, begun {begun}, done {done}')
        elif done is not None:
            found.expect(version >= done, f'{name} has version {version}, but {done} was durable')
