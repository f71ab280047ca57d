import os
import random
import signal
import socket
import subprocess
import threading
import zlib

from .. import recording
from .base import Found, Program

CLIENTS, BURSTS = 3, 40


def line(client, number):
    chance = random.Random(f'{client} {number}')
    text = f'{client} {number} {chance.choice("abcdef") * chance.randrange(400)}'
    return f'{text} {zlib.crc32(text.encode()):08x}'


class LogWriter(Program):
    """Examples/LogWriter: every line that was acknowledged is there, whole and in its order."""

    name = 'log-writer'
    wrong_engines = ['threads']
    wrong = {'no-sync': 'a group is acknowledged without its sync'}

    def run(self, folder, marks):
        command = [self.context.binary('log-writer'), os.path.join(folder, 'log'), '127.0.0.1:0']
        server = subprocess.Popen(self.context.without_sync(command), env=self.context.environment,
                                  stdout=subprocess.PIPE, text=True)
        try:
            host, port = server.stdout.readline().split()[-1].rsplit(':', 1)
            failures = []
            clients = [threading.Thread(target=converse, args=(client, host, int(port), marks, failures))
                       for client in range(CLIENTS)]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
            if failures:
                raise failures[0]
            server.send_signal(signal.SIGTERM)
            if server.wait(60) != 0:
                raise RuntimeError('log-writer failed')
        finally:
            server.kill()
            server.wait()
            server.stdout.close()

    def check(self, folder, marks):
        found = Found()
        promised = {}
        for mark in marks:
            if mark.startswith('ack.'):
                _, client, number = mark.split('.')
                promised[int(client)] = int(number)
        path = os.path.join(folder, 'log')
        data = b''
        if os.path.exists(path):
            with open(path, 'rb') as file:
                data = file.read()
        lines = data.split(b'\n')[:-1]
        next_number = [1] * CLIENTS
        for text in lines:
            client = next((client for client in range(CLIENTS)
                           if text == line(client, next_number[client]).encode()), None)
            if client is None:
                # The rest was never acknowledged, if the promises below hold.
                found.notes['logs that end with parts of lines that were not acknowledged'] += 1
                break
            next_number[client] += 1
        for client, number in sorted(promised.items()):
            there = next_number[client] - 1
            found.expect(there >= number, f'{number} lines of client {client} were acknowledged, {there} are there')
            found.promises += number - 1
        return found


def converse(client, host, port, marks, failures):
    try:
        chance = random.Random(client)
        number = 0
        with socket.create_connection((host, port), timeout=60) as connection:
            answers = connection.makefile('r')
            for _ in range(BURSTS):
                first, number = number + 1, number + chance.randint(1, 20)
                lines = ''.join(line(client, each) + '\n' for each in range(first, number + 1))
                connection.sendall(lines.encode())
                while True:
                    answer = answers.readline()
                    if not answer.startswith('ok '):
                        raise RuntimeError(f'log-writer answered {answer!r}')
                    acknowledged = int(answer[3:])
                    recording.mark(marks, f'ack.{client}.{acknowledged}')
                    if acknowledged == number:
                        break
    except Exception as error:
        failures.append(error)
