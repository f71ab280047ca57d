"""The results as Markdown: what is wanted and whether it is met, and then each line with all its measures."""

import os
import textwrap

from . import machine
from .model import MEASURES, UNITS, figure


def markdown(outcomes, facts):
    goals = [row for outcome in outcomes for row in goal_rows(outcome)]
    met = sum(row[-1] == "yes" for row in goals)
    missed = sum(row[-1] == "**no**" for row in goals)
    text = ["# Results", ""] + paragraph(
        f"Written by `Benchmarks/run{facts['options']}`: {facts['machine']}; commit {facts['commit']}; "
        f"{facts['rounds']}. Values are medians of the rounds, and ratios medians of the rounds' ratios. User "
        f"instructions are {facts['counter']}. `Benchmarks/README.md` says how each line is measured.")
    if facts["is_quick"]:
        text += paragraph("A quick run, to see that everything works: files and trees are small, and not as large as "
                          "the titles say.")
    text += load_note(outcomes)
    text += paragraph(f"Of {len(goals)} goals {met} are met and {missed} missed; {len(goals) - met - missed} could not "
                      "be measured.")
    for reason in facts["missing"]:
        text += paragraph(f"Not built: {reason}")
    text += ["## Goals", ""]
    text += table(["line", "ours", "beside", "measure", "peer's", "ours", "ratio", "wanted", "met"], goals, left=4)
    for outcome in outcomes:
        text += section(outcome)
    return "\n".join(text).rstrip("\n") + "\n"


def load_note(outcomes):
    loaded = [outcome for outcome in outcomes if outcome.turns and not outcome.is_quiet]
    if not loaded:
        return []
    most = max(outcome.others for outcome in loaded)
    return paragraph(
        f"**The machine was loaded**: others took up to {most:.0%} of the processors' time during {len(loaded)} of "
        f"{len(outcomes)} lines. Times, rates and latencies of these are left out; what remains is processor time, "
        "instructions, allocations and memory.")


def paragraph(text):
    return textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False) + [""]


def scale(line, measure, value):
    """A measure's value as it is printed."""
    if value is None:
        return None
    return value * UNITS[line.unit] if measure in ("time", "processor") else value


def title(line, measure):
    if measure == "rate":
        return f"{line.operation}/s" if line.operation == "MiB" else f"{line.operation}s/s"
    if measure == "time":
        return f"{line.unit} per {line.operation}"
    if measure == "processor":
        return f"processor, {line.unit}"
    return MEASURES[measure][0]


def goal_rows(outcome):
    line = outcome.line
    for contestant in line.ours:
        for goal in contestant.goals:
            ours = outcome.value(contestant, goal.measure)
            peer = outcome.value(line.peers[0], goal.measure) if line.peers else None
            ours, peer = (scale(line, goal.measure, value) for value in (ours, peer))
            ratio = outcome.ratio(contestant, goal.measure)
            met = {True: "yes", False: "**no**", None: "not measured"}[goal.is_met(ours, ratio)]
            if outcome.is_quick and line.unit == "s" and not goal.is_ratio:
                # Of a smaller tree.
                met = "not measured"
            yield [line.name, contestant.name, line.peers[0].name if line.peers else "-", title(line, goal.measure),
                   figure(peer), figure(ours), figure(ratio), goal.text, met]


def section(outcome):
    line = outcome.line
    text = [f"## {line.name}: {line.title}", ""]
    if outcome.turns:
        measures = [measure for measure in MEASURES
                    if any(outcome.value(contestant, measure) is not None for contestant in line.contestants)]
        head, rows = ["contestant"], []
        for measure in measures:
            head += [title(line, measure)] + (["ratio"] if line.peers else [])
        for contestant in line.contestants:
            if contestant.name not in outcome.turns:
                continue
            row = [contestant.name]
            for measure in measures:
                value = scale(line, measure, outcome.value(contestant, measure))
                row += [figure(value)] + ([figure(outcome.ratio(contestant, measure))] if line.peers else [])
            rows.append(row)
        text += table(head, rows, left=1)
    remarks = [f"Others took {outcome.others:.1%} of the processors' time."] if outcome.turns else []
    return text + paragraph(" ".join(remarks + outcome.absent + ([line.note] if line.note else [])))


def table(head, rows, left):
    """A table of Markdown, whose first columns are text and the others figures."""
    rule = ["---" if column < left else "--:" for column in range(len(head))]
    return ["| " + " | ".join(head) + " |", "|" + "|".join(rule) + "|"] + [
        "| " + " | ".join(row) + " |" for row in rows] + [""]


def save(text, path):
    """Replaces the file at once: a reader finds the old results or the new ones."""
    temporary = f"{path}.{os.getpid()}"
    try:
        with open(temporary, "w") as file:
            file.write(text)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
