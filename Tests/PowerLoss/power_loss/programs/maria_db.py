import hashlib
import os

from .. import recording
from .base import Found, Program

ROWS, TRANSACTIONS = 1500, 120
# A small buffer pool whose dirty pages are written at once, so that data pages are in flight at any crash.
SERVER = ['mariadbd', '--no-defaults', '--bootstrap', '--user=root', '--tmpdir=/mnt', '--innodb-buffer-pool-size=6M',
          '--innodb-log-file-size=4M', '--loose-innodb-linux-aio=aio', '--innodb-undo-tablespaces=0',
          '--innodb-max-dirty-pages-pct=0', '--innodb-io-capacity=2000']


def value(identity, number):
    return hashlib.md5(f'{identity}-{number}'.encode()).hexdigest() * 30


class MariaDB(Program):
    """MariaDB over the drop-in libaio: what was committed is there, and of each transaction all or nothing.

    A transaction inserts a row into two tables, and changes an older row of the first."""

    name = 'mariadb'
    wrong = {'no-sync': 'the server\'s syncs have no effect'}
    share = 0.1

    def server(self, folder, statements, *options, prefix=(), **environment):
        command = list(prefix) + SERVER + [f'--datadir={folder}'] + list(options)
        script = os.path.join(self.context.work, 'statements')
        with open(script, 'w') as file:
            file.write('\n'.join(statements) + '\n')
        with open(script) as file:
            self.context.run(['env', *(f'{name}={text}' for name, text in environment.items()), *command], stdin=file)

    def run(self, folder, marks):
        data = os.path.join(folder, 'data')
        os.mkdir(data)
        self.server(data, [
            'CREATE DATABASE d;', 'USE d;',
            'CREATE TABLE t (id INT PRIMARY KEY, n INT, v VARCHAR(1000)) CHARSET=latin1;',
            'CREATE TABLE u (id INT PRIMARY KEY);',
            *(f"INSERT INTO t VALUES {','.join(self.row(-each) for each in range(first, first + 100))};"
              for first in range(1, ROWS, 100)),
        ])
        recording.mark(marks, 'ready')
        statements = ['USE d;']
        for number in range(1, TRANSACTIONS + 1):
            changed = -(number * 613 % ROWS) - 1
            statements += [
                'BEGIN;', f'INSERT INTO t VALUES {self.row(number)};', f'INSERT INTO u VALUES ({number});',
                f"UPDATE t SET n = {number}, v = REPEAT(MD5('{changed}-{number}'), 30) WHERE id = {changed};",
                'COMMIT;', f"SELECT 1 INTO OUTFILE '{marks}/commit.{number}';",
            ]
        self.server(data, statements, f'--innodb-flush-method={self.flush_method}',
                    prefix=self.context.without_sync([]),
                    LD_PRELOAD=os.path.join(self.context.libraries, 'libaio.so.1'))

    @property
    def flush_method(self):
        return 'O_DIRECT' if self.context.engine == 'io_uring' else 'fsync'

    @staticmethod
    def row(identity):
        return f"({identity}, 0, REPEAT(MD5('{identity}-0'), 30))"

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
                f"SELECT id FROM u INTO OUTFILE '{outputs[1]}';"], '--innodb-fast-shutdown=2')
        except RuntimeError as error:
            found.violations.append(f'the server does not recover: {error}')
            return found
        with open(outputs[0]) as file:
            rows = {int(identity): (int(number), text) for identity, number, text in map(str.split, file)}
        with open(outputs[1]) as file:
            second = {int(text) for text in file}
        self.check_rows(found, rows, second, done)
        return found

    def check_rows(self, found, rows, second, done):
        first = {identity for identity in rows if identity > 0}
        for number in range(1, done + 1):
            changed = -(number * 613 % ROWS) - 1
            found.expect(number in first and number in second, f'transaction {number} of {done} is not there')
            found.expect(rows.get(changed, (0,))[0] >= number, f'the change by transaction {number} is not there')
        found.require(first == second, f'half a transaction: {sorted(first ^ second)}')
        found.require(first <= set(range(1, done + 2)), f'{max(first, default=0)} was committed, after {done}')
        missing = [identity for identity in range(-ROWS, 0) if identity not in rows]
        found.require(not missing, f'rows that were there at first are missing: {missing[:5]}')
        wrong = [identity for identity, (number, text) in rows.items() if text != value(identity, number)]
        found.require(not wrong, f'rows with a wrong content: {wrong[:5]}')
