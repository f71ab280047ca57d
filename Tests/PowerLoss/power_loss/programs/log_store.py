import os
import random
import subprocess

from .. import recording
from .base import Found, Program

KEYS, PUTS, CHECKPOINT_EVERY = 30, 240, 25


def value(number):
    return f'{number} {random.Random(number).choice("abcdef") * (number * 977 % 6000)}'


class LogStore(Program):
    """Examples/LogStore, with checkpoints: each value that was acknowledged is there, or a later one of its key."""

    name = 'log-store'
    wrong_engines = ['threads']
    wrong = {'no-sync': 'an entry is acknowledged without its sync'}

    def run(self, folder, marks):
        command = self.context.without_sync([self.context.binary('log-store'), os.path.join(folder, 'store')])
        os.mkdir(os.path.join(folder, 'store'))
        # The store does not promise the name of its directory.
        directory = os.open(folder, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
        recording.mark(marks, 'ready')
        with subprocess.Popen(command, env=self.context.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as store:
            def ask(line, answer):
                store.stdin.write(f'{line}\n')
                store.stdin.flush()
                said = store.stdout.readline()
                if said != f'ok {answer}\n':
                    raise RuntimeError(f'log-store answered {said!r}')

            try:
                for number in range(1, PUTS + 1):
                    ask(f'k{number % KEYS} {value(number)}', f'k{number % KEYS}')
                    recording.mark(marks, f'put.{number}')
                    if number % CHECKPOINT_EVERY == 0:
                        ask('checkpoint', 'checkpoint')
                        recording.mark(marks, f'checkpoint.{number}')
                store.stdin.close()
                store.stdout.read()
                if store.wait(60) != 0:
                    raise RuntimeError('log-store failed')
            finally:
                store.kill()

    def check(self, folder, marks):
        found = Found()
        done = max((int(mark.split('.')[1]) for mark in marks if mark.startswith('put.')), default=0)
        path = os.path.join(folder, 'store')
        try:
            said = self.context.run([self.context.binary('log-store'), path], stdin=subprocess.DEVNULL)
        except RuntimeError as error:
            found.violations.append(f'the store cannot be opened: {error}')
            return found
        there = dict(line.split(' ', 1) for line in said.splitlines())
        for key, text in there.items():
            number = int(text.split(' ')[0])
            found.require(text == value(number) and key == f'k{number % KEYS}' and number <= done + 1,
                          f'{key} is {text[:40]!r} after {done} values')
        for number in range(max(1, done - KEYS + 1), done + 1):
            text = there.get(f'k{number % KEYS}', '0')
            found.expect(int(text.split(' ')[0]) >= number, f'value {number} of {done} is not there: {text[:40]!r}')
        return found
