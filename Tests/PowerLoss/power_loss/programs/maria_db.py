import hashlib
import os

from .. import recording
from .base import Found, Program

ROWS, TRANSACTIONS = 6000, 150
# The buffer pool is smaller than the tables, so that changed pages are written while transactions run.
SERVER = ['mariadbd', '--no-defaults', '--bootstrap', '--user=root', '--tmpdir=/mnt', '--innodb-buffer-pool-size=6M',
          '--innodb-log-file-size=48M', '--loose-innodb-linux-aio=aio', '--innodb-undo-tablespaces=0']


def row(identity):
    return f"({identity}, 0, REPEAT(MD5('{identity}-0'), 30))"


def value(identity, number):
    return hashlib.md5(f'{identity}-{number}'.encode()).hexdigest() * 30


class MariaDB(Program):
    """MariaDB over the drop-in libaio: what was committed is there, and of each transaction all or nothing.

    A transaction changes a row of each of two tables. The data files are written with direct I/O, as MariaDB does by
    itself, which the drop-in leaves to the kernel."""

    name = 'mariadb'
    wrong_engines = ['threads']
    wrong = {'no-sync': 'the server\'s syncs have no effect'}
    share = 0.1
    flush_method = 'O_DIRECT'

    def server(self, folder, statements, *options, prefix=(), **environment):
        command = list(prefix) + SERVER + [f'--datadir={folder}'] + list(options)
        script = os.path.join(self.context.work, 'statements')
        with open(script, 'w') as file:
            file.write('\n'.join(statements) + '\n')
        with open(script) as file:
            variables = [f'{name}={text}' for name, text in environment.items()]
            return self.context.run(['env', *variables, *command], stdin=file)

    def run(self, folder, marks):
        data = os.path.join(folder, 'data')
        os.mkdir(data)
        self.server(data, [
            'CREATE DATABASE d;', 'USE d;',
            'CREATE TABLE t (id INT PRIMARY KEY, n INT, v VARCHAR(1000)) CHARSET=latin1;',
            'CREATE TABLE u (id INT PRIMARY KEY, n INT);',
            *self.filled('t', row), *self.filled('u', lambda identity: f'({identity}, 0)'),
        ])
        recording.mark(marks, 'ready')
        statements = ['USE d;']
        for number in range(1, TRANSACTIONS + 1):
            changed = self.changed(number)
            statements += [
                'BEGIN;', f'UPDATE u SET n = {number} WHERE id = {changed};',
                f"UPDATE t SET n = {number}, v = REPEAT(MD5('{changed}-{number}'), 30) WHERE id = {changed};",
                'COMMIT;', f"SELECT 1 INTO OUTFILE '{marks}/commit.{number}';",
            ]
        statements.append(f"SELECT 1 INTO OUTFILE '{marks}/finished';")
        library = os.path.join(self.context.libraries, 'libaio.so.1')
        said = self.server(data, statements, f'--innodb-flush-method={self.flush_method}',
                           prefix=self.context.without_sync([]), LD_PRELOAD=library)
        # The loader's warning, after which the system's library would do.
        if 'cannot be preloaded' in said or 'Using Linux native AIO' not in said:
            raise RuntimeError(f'mariadbd did not use {library}: {said}')

    @staticmethod
    def filled(table, row_of):
        """Several statements, for the server limits the length of one."""
        return [f"INSERT INTO {table} VALUES {','.join(map(row_of, range(first, first + 100)))};"
                for first in range(0, ROWS, 100)]

    @staticmethod
    def changed(number):
        """The row that a transaction changes: each another one."""
        return number * 613 % ROWS

    def check(self, folder, marks):
        found = Found()
        done = max((int(mark.split('.')[1]) for mark in marks if mark.startswith('commit.')), default=0)
        outputs = [os.path.join(self.context.work, name) for name in ['rows-t', 'rows-u']]
        for path in outputs:
            if os.path.exists(path):
                os.unlink(path)
        try:
            self.server(os.path.join(folder, 'data'), [
                'USE d;', f"SELECT id, n, v FROM t INTO OUTFILE '{outputs[0]}';",
                f"SELECT id, n FROM u INTO OUTFILE '{outputs[1]}';"], '--innodb-fast-shutdown=2')
        except RuntimeError as error:
            reasons = [line.partition("[ERROR] ")[2] for line in str(error).splitlines() if '[ERROR] ' in line]
            found.violations.append(f'the server does not recover: {"; ".join(reasons) or error}')
            return found
        with open(outputs[0]) as file:
            rows = {int(identity): (int(number), text) for identity, number, text in map(str.split, file)}
        with open(outputs[1]) as file:
            second = {int(identity): int(number) for identity, number in map(str.split, file)}
        self.check_rows(found, rows, second, done)
        return found

    def check_rows(self, found, rows, second, done):
        first = {identity: number for identity, (number, _) in rows.items()}
        for number in range(1, done + 1):
            found.expect(first.get(self.changed(number)) == number, f'transaction {number} of {done} is not there')
        halves = [number for number in range(1, TRANSACTIONS + 1)
                  if first.get(self.changed(number)) != second.get(self.changed(number))]
        found.require(not halves, f'half a transaction: {halves[:5]}')
        found.require(len(first) == len(second) == ROWS, f'{len(first)} and {len(second)} rows of {ROWS} are there')
        newest = max(first.values(), default=0)
        found.require(newest <= done + 1, f'transaction {newest} is there, after {done}')
        wrong = [identity for identity, (number, text) in rows.items() if text != value(identity, number)]
        found.require(not wrong, f'rows with a wrong content: {wrong[:5]}')


class BufferedMariaDB(MariaDB):
    """The same with buffered data files, which the drop-in carries out itself.

    MariaDB 10.11.19 breaks its promises in this mode, over the system's libaio (`--libraries`) as often as over the
    drop-in: while another thread syncs data files, some commits return although nothing was flushed since the one
    before (in about one of thirty recordings), and with `--innodb-max-dirty-pages-pct=0` a checkpoint is written before
    the fdatasync(2) of the pages that it covers has returned. So it only runs when it is asked for."""

    name = 'mariadb-buffered'
    by_name = True
    flush_method = 'fsync'
