"""The test suites: which mutants each one reaches, how long it takes, and whether it fails with a mutant on."""
import concurrent.futures
import hashlib
import json
import os
import re
import select
import signal
import subprocess
import time

from mutated_tree import MAP_BYTES

# RepositoryTests read sources; PowerLossTests need devices.
BY_PROGRAM = ('DropInTests.LibAIOTests', 'DropInTests.PosixAIOTests')
# All flags in all combinations.
SLOW_PROGRAMS = ('flags',)
# Programs of test functions of their own: `DropInTests.LibAIOTests[]` is all of those.
OTHER_PROGRAMS = ('looks', 'which_library')
# A suite over the simulated world takes a tenth of its time over the engines, and is one of its own. The faults belong
# to the engines.
SIMULATED = '{simulated}'
MAY_BE_SIMULATED = re.compile(r'^ConformanceTests\.(?!Fault)')
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
        suites = {name for name in suites if not LEFT_OUT.match(name) and name not in BY_PROGRAM}
        simulated = [name + SIMULATED for name in suites if MAY_BE_SIMULATED.match(name)]
        return sorted(suites) + sorted(simulated) + list(self.programs())

    def programs(self):
        """The drop-ins' C programs, each as a suite of its own: `DropInTests.LibAIOTests[submit]`."""
        folder = os.path.join(self.tree.path, 'Tests/DropIns')
        for suite in BY_PROGRAM:
            with open(os.path.join(folder, suite.split('.')[1] + '.swift')) as file:
                names = re.findall(r'"([a-z_]+)"', file.read().partition('static let better')[0])
            yield suite + '[]'
            for name in sorted(set(names) - set(SLOW_PROGRAMS + OTHER_PROGRAMS)):
                if os.path.exists(os.path.join(folder, 'Programs', name + '.c')):
                    yield '%s[%s]' % (suite, name)

    def measure(self, workers, say):
        """Runs each suite without a mutant. What fails so, or takes too long, finds no mutants."""
        notes = os.path.join(self.scratch, 'coverage.json')
        known = json.load(open(notes)) if os.path.exists(notes) else {}
        stamps = {name: self._stamp(name) for name in self.names()}
        old = [name for name in stamps if known.get(name, {}).get('stamp') != stamps[name]]
        with concurrent.futures.ThreadPoolExecutor(workers) as threads:
            for name, result in zip(old, threads.map(self._coverage, old)):
                known[name] = dict(result, stamp=stamps[name])
                with open(notes, 'w') as file:
                    json.dump(known, file)
                say('%-60s %6.1f s  %3d reached  %s' % (name, result['seconds'], len(result['reached']), result['end']))
        for name in stamps:
            if known[name]['end'] == 'passed':
                self.reached[name], self.seconds[name] = set(known[name]['reached']), known[name]['seconds']

    def _stamp(self, name):
        """Changes with the mutants, and with the files that declare or extend the suite."""
        digest = hashlib.sha256(repr(sorted(self.tree.chosen)).encode())
        declares = re.compile(r'\b(struct|class|extension|enum|actor) %s\b' % re.escape(re.split(r'[.[{]', name)[1]))
        for path in self.tree.files:
            if path.startswith('Tests/') and path.endswith('.swift'):
                with open(os.path.join(self.tree.path, path)) as file:
                    text = file.read()
                if declares.search(text):
                    digest.update(text.encode())
        return digest.hexdigest()

    def _coverage(self, name):
        path = os.path.join(self.scratch, 'map-' + name)
        with open(path, 'wb') as file:
            file.truncate(MAP_BYTES)
        # Programs that a test runs as another user set their bytes too.
        os.chmod(path, 0o666)
        began = time.monotonic()
        end, output = self.run(name, {'MUTANT_MAP': path}, self.longest, 'coverage-' + name)
        seconds = time.monotonic() - began
        with open(path, 'rb') as file:
            reached = file.read()
        os.remove(path)
        return {'end': end, 'seconds': seconds, 'reached': [n for n in self.tree.chosen if reached[n]],
                'output': '' if end == 'passed' else output.decode(errors='replace')[-1000:]}

    def run(self, name, settings, limit, room):
        """Returns how a suite ended, `passed`, `assertion`, `crash` or `time`, and the lines that say so. It is stopped
        at the first failure."""
        environment = dict(os.environ, **settings)
        environment['DROPINS_UNDER_TEST'] = os.path.join(self.tree.path, '.build/dropins-debug')
        environment.setdefault('SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH', '4')
        if name.endswith(SIMULATED):
            environment['AIO_TEST_SIMULATION'] = '1'
        suite, is_program, program = name.removesuffix(SIMULATED).rstrip(']').partition('[')
        wanted = '/results' if program else '/(?!results)' if is_program else '[/(]'
        if is_program:
            # The automatic engine and `threads`.
            environment.update(DROPINS_PROGRAM=program, DROPINS_SECOND_RUN='1')
        command = [self.program, '--testing-library', 'swift-testing', '--filter', '^%s%s' % (re.escape(suite), wanted)]
        folder = os.path.join(self.scratch, 'files-' + room)
        os.makedirs(folder, exist_ok=True)
        # As /tmp is: some tests run as another user.
        os.chmod(folder, 0o1777)
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
            # A program, because some tests make trees that are deeper than Python's recursion.
            subprocess.run(['rm', '-rf', folder], stderr=subprocess.DEVNULL)
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
