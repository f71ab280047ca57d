"""Measuring a line: its contestants take turns, in an order that changes from round to round."""

import os
import shlex
import shutil
import statistics
from dataclasses import dataclass, field

from . import children, machine, places
from .builds import say
from .model import MEASURES


@dataclass
class Outcome:
    """What was measured of a line."""

    line: object
    # Each contestant's turns, by its name: dictionaries of measures.
    turns: dict = field(default_factory=dict)
    instructions: dict = field(default_factory=dict)
    # What others took of the machine meanwhile.
    others: float = 0
    is_quick: bool = False
    # Why the line, or a contestant, was not measured.
    absent: list = field(default_factory=list)

    @property
    def is_quiet(self):
        return self.others <= machine.QUIET

    def value(self, contestant, measure):
        """The median of the turns, or None if there is none or it means nothing on a loaded machine."""
        if measure == "instructions":
            return self.instructions.get(contestant.name)
        if not self._is_sound(measure):
            return None
        values = [turn[measure] for turn in self.turns.get(contestant.name, []) if measure in turn]
        return statistics.median(values) if values else None

    def ratio(self, contestant, measure):
        """The median of the rounds' ratios to the first peer."""
        if not self.line.peers or contestant is self.line.peers[0]:
            return None
        peer = self.line.peers[0]
        if measure == "instructions":
            ours, theirs = self.value(contestant, measure), self.value(peer, measure)
            return ours / theirs if ours is not None and theirs else None
        if not self._is_sound(measure):
            return None
        pairs = zip(self.turns.get(contestant.name, []), self.turns.get(peer.name, []))
        ratios = [ours[measure] / theirs[measure] for ours, theirs in pairs if ours.get(measure) is not None
                  and theirs.get(measure)]
        return statistics.median(ratios) if ratios else None

    def _is_sound(self, measure):
        return self.is_quiet or not MEASURES[measure][2]


class Runner:
    def __init__(self, found, rounds, is_quick, counter):
        self.places = found
        self.rounds = rounds
        self.is_quick = is_quick
        self.counter = counter

    def measure(self, line):
        outcome = Outcome(line, is_quick=self.is_quick)
        if line.needs_root and os.geteuid() != 0:
            outcome.absent.append("not measured: it needs root")
            return outcome
        try:
            if line.joint:
                # It also makes what it needs, so the load begins within.
                load = machine.Load()
                outcome.turns = line.joint(self, line, outcome)
                outcome.others = load.share()
            else:
                self._take_turns(line, outcome)
        finally:
            places.remove_copies(self.places)
        return outcome

    def _take_turns(self, line, outcome):
        present = [contestant for contestant in line.contestants if self._is_present(contestant, outcome)]
        if not present:
            return
        # What is made on demand is made now.
        for contestant in present:
            self._command(line, contestant, 1)
        # This turn does not count: it loads the program, and on a virtual machine memory that the host has to provide.
        self._turn(line, present[0])
        load = machine.Load()
        for number in range(self.rounds):
            say(f"{line.name}: round {number + 1} of {self.rounds}")
            for contestant in present if number % 2 == 0 else reversed(present):
                outcome.turns.setdefault(contestant.name, []).append(self._turn(line, contestant))
        outcome.others = load.share()
        if line.counted and self.counter.way:
            say(f"{line.name}: instructions")
            refusals = {}
            for contestant in present:
                reason = self._count_instructions(line, contestant, outcome)
                if reason:
                    refusals.setdefault(reason, []).append(contestant.name)
            for reason, names in refusals.items():
                outcome.absent.append(f"Instructions are not counted of {', '.join(names)}: {reason}.")

    def _is_present(self, contestant, outcome):
        program = contestant.program
        if program and program not in self.places and not shutil.which(program):
            outcome.absent.append(f"{contestant.name} is missing: {program} is not there.")
            return False
        return True

    def _count(self, line):
        # Short turns say little, and show that everything runs.
        return max(64, line.count // 50) if self.is_quick else line.count

    def _command(self, line, contestant, count):
        words = []
        for word in shlex.split(contestant.command):
            if word == "{count}":
                words.append(str(count))
            elif "{" in word:
                words.append(word.format_map(self.places))
            else:
                words.append(word)
        return words

    def _environment(self, contestant):
        environment = {name: value for name, value in os.environ.items() if name != "AIO_ENGINE"}
        if contestant.engine:
            environment["AIO_ENGINE"] = contestant.engine
        return environment

    def _turn(self, line, contestant):
        read = contestant.reader or children.printed_turn
        turns = []
        for _ in range(max(1, line.runs // 5) if self.is_quick else line.runs):
            # Before the command is made: a fresh name stays fresh.
            if line.before:
                line.before(self.places)
            command = self._command(line, contestant, self._count(line))
            turns.append(read(children.run(command, self._environment(contestant))))
        return {measure: statistics.fmean(turn[measure] for turn in turns) for measure in turns[0]}

    def _count_instructions(self, line, contestant, outcome):
        """For one operation: what more operations cost, without what the start costs. Returns why it cannot be told."""
        environment = self._environment(contestant)
        if self.counter.way == "valgrind" and " queue-" not in contestant.command:
            # In valgrind no other thread runs while a loop waits in its ring.
            environment["AIO_ENGINE"] = "threads"
        try:
            few, many = (self.counter.count(self._command(line, contestant, count), environment)
                         for count in line.counted)
        except children.Trouble:
            return f"{self.counter.way} does not run it"
        operations = line.counted[1] - line.counted[0]
        if many[1] - few[1] > operations / 10:
            # Where a call is missing, such as openat2(2) in valgrind 3.19, the library goes another way.
            return f"{self.counter.way} lacks a system call that each operation makes"
        outcome.instructions[contestant.name] = (many[0] - few[0]) / operations
        return None
