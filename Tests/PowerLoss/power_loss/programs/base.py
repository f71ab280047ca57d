import collections
import os
import subprocess


class Found:
    """What a check found on one image."""

    def __init__(self):
        self.promises, self.violations, self.notes = 0, [], collections.Counter()

    def expect(self, condition, text):
        """A promise that was made before the crash."""
        self.promises += 1
        if not condition:
            self.violations.append(text)

    def require(self, condition, text):
        """What holds at every moment."""
        if not condition:
            self.violations.append(text)


class Context:
    """Where a program finds what it needs."""

    def __init__(self, binaries, tools, libraries, work, engine, wrong):
        self.binaries, self.tools, self.libraries, self.work = binaries, tools, libraries, work
        self.engine, self.wrong = engine, wrong

    @property
    def environment(self):
        return {**os.environ, 'AIO_ENGINE': self.engine}

    def binary(self, name):
        return os.path.join(self.binaries, name)

    def without_sync(self, command):
        """The command with syncs that have no effect, if that is the wrong version."""
        return [os.path.join(self.tools, 'without_sync')] + command if self.wrong == 'no-sync' else command

    def run(self, command, **more):
        done = subprocess.run(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=300, **more)
        if done.returncode != 0:
            raise RuntimeError(f'{command[0]} failed: {done.stdout.decode(errors="replace")[-2000:]}')
        return done.stdout.decode(errors='replace')


class Program:
    # The wrong versions: what of the right one each of them omits.
    wrong = {}
    engines = ['io_uring', 'threads']
    # Those over which the wrong versions can run.
    wrong_engines = engines
    # How many of the images asked for are looked at: less than all where one takes long.
    share = 1
    # Whether it is left out of `all`.
    by_name = False

    def __init__(self, context):
        self.context = context
