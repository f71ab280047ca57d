"""What the results rest on: python3 -m unittest suite.tests, in Benchmarks."""

import os
import re
import subprocess
import sys
import time
import unittest

from . import builds, children, machine, places, results, rounds
from .model import Contestant, Line, MEASURES, at_most, figure, ratio_at_least, ratio_at_most
from .table import LINES

RUN = os.path.join(builds.ROOT, "Benchmarks/run")


def outcome(peer, ours, goals, others=0.0):
    """The outcome of a line with these turns."""
    line = Line("line", "a line", [Contestant("peer", "")], [Contestant("ours", "", goals)])
    return rounds.Outcome(line, {"peer": peer, "ours": ours}, others=others)


class Judgement(unittest.TestCase):
    def test_a_ratio_is_the_median_of_the_rounds_ratios(self):
        # The medians of the sides would give 2 / 10.
        found = outcome([{"time": 1}, {"time": 10}, {"time": 100}], [{"time": 2}, {"time": 20}, {"time": 2}], [])
        self.assertEqual(found.ratio(found.line.ours[0], "time"), 2)

    def test_goals_are_met_up_to_their_limit(self):
        for goal, value, ratio, met in (
                (at_most("time", 5), 5, None, True), (at_most("time", 5), 5.1, None, False),
                (ratio_at_most("time", 2), 9, 2, True), (ratio_at_most("time", 2), 1, 2.1, False),
                (ratio_at_least("rate", 0.95), 1, 0.95, True), (ratio_at_least("rate", 0.95), 1, 0.94, False),
                (at_most("time", 5), None, 1, None), (ratio_at_most("time", 2), 1, None, None)):
            self.assertIs(goal.is_met(value, ratio), met)

    def test_under_load_times_are_left_out_and_processor_time_stays(self):
        turn = {"time": 3e-6, "rate": 3e5, "processor": 1e-6, "p99.9": 7, "memory": 2}
        goals = [at_most("time", 5), at_most("processor", 5)]
        quiet, loaded = (outcome([turn], [turn], goals, others) for others in (0.05, 0.06))
        self.assertEqual([row[-1] for row in results.goal_rows(quiet)], ["yes", "yes"])
        self.assertEqual([row[-1] for row in results.goal_rows(loaded)], ["not measured", "yes"])
        known = [measure for measure in MEASURES if loaded.value(loaded.line.ours[0], measure) is not None]
        self.assertEqual(known, ["processor", "memory"])
        facts = {"options": "", "machine": "m", "commit": "c", "rounds": "1 round", "counter": "", "missing": [],
                 "is_quick": False}
        self.assertIn("**The machine was loaded**", results.markdown([quiet, loaded], facts))
        self.assertNotIn("loaded", results.markdown([quiet], facts))

    def test_figures_have_three_significant_digits(self):
        written = [figure(value) for value in (None, 0, 0.0314159, 3.14159, 31.4159, 314159.2)]
        self.assertEqual(written, ["-", "0", "0.0314", "3.14", "31.4", "314,159"])


class Programs(unittest.TestCase):
    def test_a_program_that_fails_is_named_with_its_last_word(self):
        with self.assertRaisesRegex(children.Trouble, "^sh -c .*: no luck$"):
            children.run(["sh", "-c", "echo first >&2; echo no luck >&2; exit 3"])

    def test_a_program_that_hangs_is_ended_with_its_children(self):
        with self.assertRaisesRegex(children.Trouble, "did not end within 0.2 s"):
            children.run(["sh", "-c", "sleep 4321 & wait"], patience=0.2)
        # Killed at once; the first process of the system takes note of it a little later.
        for _ in range(500):
            left = subprocess.run(["pgrep", "-f", "^sleep 4321$"], stdout=subprocess.PIPE, check=False).stdout
            if not left:
                break
            time.sleep(0.01)
        self.assertEqual(left, b"")

    def test_the_processor_time_of_children_counts(self):
        child = children.run(["sh", "-c", f"{sys.executable} -c 'for i in range(3000000): pass'"])
        self.assertGreater(child.processor, 0.01)

    def test_a_turn_is_for_one_operation(self):
        text = '{"operations": 4, "seconds": 2, "processor": 1, "allocations": 8, "p50": 3}\n'
        turn = children.printed_turn(children.Child(text, "", 0, 0))
        self.assertEqual(turn, {"time": 0.5, "rate": 2, "processor": 0.25, "allocations": 2, "p50": 3})


class Machine(unittest.TestCase):
    def test_the_load_is_read_beside_a_process_whose_name_is_no_text(self):
        named = subprocess.Popen([sys.executable, "-c", """
import sys
with open("/proc/self/comm", "wb") as file:
    file.write(b"\\x9d) (x")
print(flush=True)
sys.stdin.read()
"""], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        named.stdout.readline()
        try:
            with open(f"/proc/{named.pid}/comm", "rb") as file:
                self.assertEqual(file.read(), b"\x9d) (x\n")
            self.assertLessEqual(machine.Load().share(), 1)
        finally:
            named.communicate()


class Table(unittest.TestCase):
    def test_names_are_given_once(self):
        names = [line.name for line in LINES]
        self.assertEqual(len(set(names)), len(names))
        for line in LINES:
            inner = [contestant.name for contestant in line.contestants]
            self.assertEqual(len(set(inner)), len(inner), line.name)

    def test_commands_name_places_and_programs_that_there_are(self):
        programs = {name for _, names in builds.PACKAGES for name in names} | {"fd", "seconds", "count"}
        for line in LINES:
            for contestant in line.contestants:
                for name in re.findall(r"{(\w+)}", contestant.command):
                    known = name in programs | {"fresh", "memory_fresh"} or hasattr(places.Places, f"make_{name}")
                    self.assertTrue(known, f"{line.name}: {name}")

    def test_what_needs_the_memory_device_or_dropped_caches_needs_root(self):
        for line in LINES:
            commands = " ".join(contestant.command for contestant in line.contestants)
            if "{memory" in commands:
                self.assertTrue(line.needs_root, line.name)

    def test_goals_are_for_what_is_measured(self):
        for line in LINES:
            for contestant in line.ours:
                for goal in contestant.goals:
                    self.assertIn(goal.measure, MEASURES)
                    self.assertTrue(line.peers or not goal.is_ratio, line.name)
                    self.assertTrue(line.counted or goal.measure != "instructions", line.name)


class CommandLine(unittest.TestCase):
    def run_it(self, *arguments):
        return subprocess.run([sys.executable, RUN, *arguments], capture_output=True, text=True, check=False)

    def test_bad_input_gets_one_line(self):
        for arguments, reason in (
                (["nonsense"], "there is no line 'nonsense'"), (["--rounds", "0"], "--rounds must be 1 to 1000"),
                (["--rounds", "x"], "invalid int value"), (["--output", "/"], "cannot write '/'"),
                (["--disk", "/nowhere"], "not a folder"), (["--unknown"], "unrecognized arguments")):
            ended = self.run_it(*arguments)
            self.assertEqual((ended.returncode, ended.stdout, ended.stderr.count("\n")), (2, "", 1), arguments)
            self.assertIn(reason, ended.stderr)

    def test_the_list_has_every_line(self):
        ended = self.run_it("--list")
        self.assertEqual([text.split()[0] for text in ended.stdout.splitlines()], [line.name for line in LINES])


if __name__ == "__main__":
    unittest.main()
