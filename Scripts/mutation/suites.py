"""The test suites: which mutants each one reaches, how long it takes, and whether it fails with a mutant on."""
import json
import mmap
import os
import re
import select
import shutil
import signal
import subprocess
import time

from mutated_tree import MAP_BYTES

# RepositoryTests read sources; PowerLossTests need devices.
LEFT_OUT = re.compile(r'^(RepositoryTests|PowerLossTests)\.')
FAILURE = re.compile(rb'recorded an issue|^Fatal error|: Fatal error:', re.M)


class Suites:
    def __init__(self, tree, program, scratch, longest):
        self.tree, self.program, self.scratch, self.longest = tree, program, scratch, longest
        self.reached, self.seconds = {}, {}

    def names(self):
        listed = subprocess.run([self.program, '--testing-library', 'swift-testing', '--list-tests'], text=True,
                                cwd=self.tree.path, stdout=subprocess.PIPE, check=True).stdout
        suites = {re.split(r'[/(]', line)[0] for line in listed.splitlines() if '/' in line}
        return sorted(name for name in suites if not LEFT_OUT.match(name))

    def measure(self, say):
        """Runs each suite without a mutant. What fails so, or takes too long, finds no mutants."""
        notes = os.path.join(self.scratch, 'coverage.json')
        known = json.load(open(notes)) if os.path.exists(notes) else {}
        stamp = sorted(self.tree.chosen)
        for name in self.names():
            if name in known and known[name]['chosen'] == stamp:
                result = known[name]
            else:
                result = known[name] = dict(self._coverage(name), chosen=stamp)
                with open(notes, 'w') as file:
                    json.dump(known, file)
                say('%-60s %6.1f s  %3d reached  %s' % (name, result['seconds'], len(result['reached']), result['end']))
            if result['end'] == 'passed':
                self.reached[name], self.seconds[name] = set(result['reached']), result['seconds']

    def _coverage(self, name):
        path = os.path.join(self.scratch, 'map')
        with open(path, 'wb') as file:
            file.truncate(MAP_BYTES)
        # Others of the machine's users may read what a test wants to have read as another user.
        os.chmod(path, 0o666)
        began = time.monotonic()
        end, _ = self.run(name, {'MUTANT_MAP': path}, self.longest, 'coverage')
        seconds = time.monotonic() - began
        with open(path, 'rb') as file, mmap.mmap(file.fileno(), MAP_BYTES, access=mmap.ACCESS_READ) as reached:
            return {'end': end, 'seconds': seconds, 'reached': [n for n in self.tree.chosen if reached[n]]}

    def run(self, name, settings, limit, room):
        """Returns how a suite ended, `passed`, `assertion`, `crash` or `time`, and the lines that say so. It is stopped
        at the first failure."""
        environment = dict(os.environ, **settings)
        environment['DROPINS_UNDER_TEST'] = os.path.join(self.tree.path, '.build/dropins-debug')
        environment.setdefault('SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH', '4')
        command = [self.program, '--testing-library', 'swift-testing', '--filter', '^%s[/(]' % re.escape(name)]
        folder = os.path.join(self.scratch, 'files-' + room)
        os.makedirs(folder, exist_ok=True)
        if os.geteuid() == 0:
            # A mutant may leave files, mounts and processes behind: all of them go with the namespaces. The shell is
            # there because process 1 has other signals, and has to reap orphans.
            inner = 'mount --bind "$0" /tmp && "$@"; exit $?'
            namespaces = ['unshare', '-m', '-p', '-f', '--kill-child', '--mount-proc']
            command = namespaces + ['bash', '-c', inner, folder] + command
        process = subprocess.Popen(command, cwd=self.tree.path, env=environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            end, output = watch(process, time.monotonic() + limit)
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)
        return end, output


def watch(process, end):
    output = b''
    while True:
        left = end - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            return 'time', output
        more = os.read(process.stdout.fileno(), 1 << 16)
        output += more
        found = FAILURE.search(output, max(0, len(output) - len(more) - 100))
        if found:
            kind = 'assertion' if found.group() == b'recorded an issue' else 'crash'
            return kind, output[max(0, found.start() - 200):found.start() + 800]
        if not more:
            break
    try:
        status = process.wait(max(end - time.monotonic(), 1))
    except subprocess.TimeoutExpired:
        return 'time', output
    return ('passed', b'') if status == 0 else ('crash', output[-800:])
