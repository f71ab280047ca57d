"""What a line of the results is: contestants, how they are measured, and what is wanted of ours."""

from dataclasses import dataclass, field
from typing import Callable, Optional

# Each measure with its title, whether a higher value is better, and whether it depends on what else the machine does.
MEASURES = {
    "time": ("time", False, True),
    "rate": ("rate", True, True),
    "p50": ("p50, us", False, True),
    "p99": ("p99, us", False, True),
    "p99.9": ("p99.9, us", False, True),
    "submit p99": ("submission p99, us", False, True),
    "processor": ("processor", False, False),
    "instructions": ("user instructions", False, False),
    "allocations": ("allocations", False, False),
    "memory": ("memory, KiB", False, False),
}


@dataclass(frozen=True)
class Goal:
    """A limit for ours: for the value itself, or for the ratio of ours to the peer's."""

    measure: str
    limit: float
    is_ratio: bool
    is_least: bool = False

    @property
    def text(self):
        return f"at {'least' if self.is_least else 'most'} {figure(self.limit)}{'x' if self.is_ratio else ''}"

    def is_met(self, value, ratio):
        """Whether it is met, or None if it was not measured."""
        subject = ratio if self.is_ratio else value
        if subject is None:
            return None
        return subject >= self.limit if self.is_least else subject <= self.limit


def at_most(measure, limit):
    return Goal(measure, limit, is_ratio=False)


def ratio_at_most(measure, limit):
    return Goal(measure, limit, is_ratio=True)


def ratio_at_least(measure, limit):
    return Goal(measure, limit, is_ratio=True, is_least=True)


@dataclass
class Contestant:
    """A program's way of doing what the line says.

    `command` has names of places and programs in braces, which are filled in. `reader` makes a turn's measures of a
    `Child`: without one, the program has printed them as JSON.
    """

    name: str
    command: str
    goals: list = field(default_factory=list)
    engine: Optional[str] = None
    reader: Optional[Callable] = None
    # What has to be installed.
    program: Optional[str] = None


@dataclass
class Line:
    """One line: the first of the peers is the one that ours are compared with."""

    name: str
    title: str
    peers: list
    ours: list
    # One operation, as in "us a line"; times are in the unit.
    operation: str = "operation"
    unit: str = "us"
    count: int = 0
    # For lines whose user instructions can be counted: two numbers of operations, the difference of which is counted.
    counted: Optional[tuple] = None
    # Runs of the command within one turn, whose mean is the turn's.
    runs: int = 1
    needs_root: bool = False
    # Called before each turn with the places.
    before: Optional[Callable] = None
    # For programs that alternate by themselves: called with the run, returns each contestant's turns.
    joint: Optional[Callable] = None
    # Below the table: what a reader has to know, such as why a goal is missed.
    note: str = ""

    @property
    def contestants(self):
        return self.peers + self.ours


UNITS = {"us": 1e6, "s": 1, "ms": 1e3}


def figure(value):
    """A number with three significant digits, or all digits of its whole part."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
