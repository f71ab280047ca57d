"""What a disk may hold after the power failed, and what is found on it."""
import collections
import os
import random

from . import kernel, recording

# Every so many images, the file system's own check looks as well.
EXAMINE_EVERY = 20


class Plan:
    """One crash: the records before `durable` are on the disk, those from there to `point` in part.

    `parts` has for each of the latter None (lost), or the byte ranges that were written."""

    def __init__(self, number, point, durable, parts):
        self.number, self.point, self.durable, self.parts = number, point, durable, parts

    @property
    def key(self):
        return self.point, tuple(self.parts)


def plan(record, number, seed, sector):
    """The crash `number`, which follows from the recording and the seed alone."""
    chance = random.Random(f'{seed}:{number}')
    point = crash_point(record, chance)
    durable = record.durable(point)
    keep = chance.choice([0, 0.1, 0.5, 0.9, 1])
    tear = chance.choice([0, 0.2])
    parts = []
    for kind, _, length, _ in record.records[durable:point]:
        if kind not in (recording.WRITE, recording.ZERO) or chance.random() >= keep:
            parts.append(None)
        elif length > sector and chance.random() < tear:
            parts.append(torn(length, sector, chance))
        else:
            parts.append(((0, length),))
    return Plan(number, point, durable, parts)


def crash_point(record, chance):
    """Half of them anywhere, and half right after a mark, where a promise is youngest."""
    if chance.random() < 0.5:
        return chance.randint(record.start + 1, record.end)
    marks = [index for index, _ in record.marks if record.start < index < record.end]
    return min(record.end, chance.choice(marks) + 1 + chance.choice([0, 0, 1, 3]))


def torn(length, sector, chance):
    """A beginning, an end, or any sectors of a write."""
    sectors = range(0, length, sector)
    cut = chance.randrange(sector, length, sector)
    kind = chance.randrange(3)
    if kind == 0:
        return ((0, cut),)
    if kind == 1:
        return ((cut, length),)
    return tuple((start, start + sector) for start in sectors if chance.random() < 0.5)


def plans(record, count, seed, sector):
    """Up to `count` different crashes, in the order in which the durable part grows."""
    found = {}
    for number in range(count):
        crash = plan(record, number, seed, sector)
        found.setdefault(crash.key, crash)
    return sorted(found.values(), key=lambda crash: (crash.durable, crash.point))


class Result:
    def __init__(self):
        self.images = self.examined = self.promises = self.bad_images = 0
        self.violations = []
        self.notes = collections.Counter()


class Replay:
    """Makes the images of crashes one after the other, and has a program check what it finds there."""

    def __init__(self, record, system, program, work):
        self.record, self.system, self.program = record, system, program
        self.state, self.image = os.path.join(work, 'state'), os.path.join(work, 'image')
        self.disk = os.path.join(work, 'disk')
        self.applied = 0
        self.result = Result()
        recording.copy_sparse(record.base, self.state)

    def run(self, crashes, violations_max):
        for crash in crashes:
            self.make(crash)
            violations = self.look(crash)
            self.result.images += 1
            if violations:
                self.result.bad_images += 1
                self.result.violations += [(crash, text) for text in violations]
                if self.result.bad_images >= violations_max:
                    break
        return self.result

    def make(self, crash):
        with open(self.state, 'r+b') as state:
            for index in range(self.applied, crash.durable):
                self.record.apply(index, state.fileno())
        self.applied = max(self.applied, crash.durable)
        recording.copy_sparse(self.state, self.image)
        with open(self.image, 'r+b') as image:
            for index, parts in enumerate(crash.parts, crash.durable):
                for part in parts or ():
                    self.record.apply(index, image.fileno(), part)

    def look(self, crash):
        try:
            with kernel.loop_device(self.image, False, 512) as device:
                with kernel.mounted(device, self.disk, self.system.name, self.system.options):
                    violations = self.read(crash)
        except OSError as error:
            faults = self.system.faults(self.image)
            return [f'the file system cannot be mounted: {error}', *([faults] if faults else [])]
        if violations or crash.number % EXAMINE_EVERY == 0:
            self.result.examined += 1
            faults = self.system.faults(self.image)
            if faults:
                violations.append(f'{self.system.examine[0]} finds faults:\n{faults}')
        return violations

    def read(self, crash):
        try:
            found = self.program.check(self.disk, self.record.promises(crash.point))
        except OSError as error:
            return [f'the files cannot be read: {error}']
        self.result.promises += found.promises
        self.result.notes.update(found.notes)
        return found.violations
