"""What ``inferbench bisect`` does: candidates, an A/B comparison for each question, and the answer."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import click

from pytest_inferbench import ab, candidates
from pytest_inferbench.ab import Side, Turns
from pytest_inferbench.ab_command import CANNOT_TELL, INTERRUPTED
from pytest_inferbench.ab_comparison import Held, hold
from pytest_inferbench.ab_run import SCHEMA_VERSION, Asked, Bench, selected_cases, tolerated_of
from pytest_inferbench.bisection import Answer, Found, Question, found, next_question, questions_left
from pytest_inferbench.candidates import Candidate
from pytest_inferbench.cases.case import Case
from pytest_inferbench.errors import ConfigError, EngineError
from pytest_inferbench.launch.registry_tags import repository_of, tags, without_tag
from pytest_inferbench.objectives.gates import ALPHA, Change, Comparison, signed
from pytest_inferbench.objectives.tolerance import Tolerated
from pytest_inferbench.records.baselines import Measured
from pytest_inferbench.records.files import write_json_once
from pytest_inferbench.records.run_directory import safe_name
from pytest_inferbench.redaction import redact_text
from pytest_inferbench.reporting.figures import length_of_time, printable
from pytest_inferbench.variants import parse_variant

RESULT_FILE = "bisect.json"
FOUND = 0
_SURE = 0.005
"""Surer than that nobody should be of an answer: what is assumed of runs holds no better."""
_ERROR_MAX = 0.4
_NAME_LENGTH = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What is searched, as the command line has it."""

    over: str
    good: str | None = None
    bad: str | None = None
    tags: str | None = None
    image: str | None = None
    registry: str | None = None
    flag: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One question with its answer, what was measured for it, and why, in words."""

    question: Question
    runs: int
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one measurement of a candidate says."""

    answer: Answer
    words: str
    runs: int
    error: float = ALPHA


def run_bisect(wanted: Range, asked: Asked, *, repeats: int, as_json: bool) -> int:
    """
    Search, keep and show what was found, and return the exit code.

    Raises:
        ConfigError: it was asked for wrongly.
        InferbenchError: the good side cannot be measured, or nothing can be kept.
    """
    cases = selected_cases(asked)
    choices = choices_of(wanted, asked, cases)
    with Bench(asked) as bench:
        search = Search(bench, cases, choices, tolerated=tolerated_of(asked, cases), repeats=repeats, blocks=asked.blocks)
        try:
            search.run()
        except KeyboardInterrupt:
            search.interrupted = True
        bench.close()
        result = result_json(search, bench)
    write_json_once(bench.run.path / RESULT_FILE, result)
    if as_json:
        click.echo(json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        for line in result_lines(search):
            click.echo(line)
        click.echo(f"results: {bench.run.path}")
    return INTERRUPTED if search.interrupted else FOUND if search.sure else CANNOT_TELL


def choices_of(wanted: Range, asked: Asked, cases: Sequence[Case]) -> tuple[Candidate, ...]:
    """
    What is searched, from good to bad.

    Raises:
        ConfigError: good or bad is missing or not there, or nothing lies between them.
        EngineError: the registry does not list its tags.
    """
    if wanted.over == "flags":
        if wanted.flag is None:
            raise ConfigError("needs the values in their order: --flag args.max_num_seqs=16,32,64", file="--over flags")
        return candidates.of_flag(wanted.flag, wanted.good, wanted.bad)
    if wanted.good is None or wanted.bad is None:
        raise ConfigError("needs --good and --bad", file=f"--over {wanted.over}")
    if wanted.over == "commits":
        return candidates.of_commits(asked.repository, wanted.good, wanted.bad)
    image = without_tag(wanted.image or _image(cases))
    if wanted.tags is not None:
        return candidates.of_tags(image, candidates.tags_of(wanted.tags), wanted.good, wanted.bad)
    listed = tags(repository_of(image, registry=wanted.registry))
    chosen = candidates.versions_between(listed, wanted.good, wanted.bad)
    return candidates.of_tags(image, chosen, wanted.good, wanted.bad)


class Search:
    """
    A bisection: asks about candidates until it is sure, or cannot be.

    Attributes:
        steps: the questions so far, with their answers.
        interrupted: somebody pressed Ctrl-C; what was answered until then stands.
    """

    def __init__(  # noqa: PLR0913 - what is searched, and how
        self,
        bench: Bench,
        cases: Sequence[Case],
        choices: Sequence[Candidate],
        *,
        tolerated: Tolerated,
        repeats: int,
        blocks: int,
    ) -> None:
        self._bench = bench
        self._cases = cases
        self.choices = choices
        self._tolerated = tolerated
        self._repeats = repeats
        self._blocks = blocks
        self.steps: list[Step] = []
        self.interrupted = False

    @property
    def questions(self) -> list[Question]:
        """All questions so far."""
        return [step.question for step in self.steps]

    @property
    def found(self) -> Found:
        """What is believed."""
        return found(self.questions, candidates=len(self.choices))

    @property
    def sure(self) -> bool:
        """Whether the first worse candidate is known, or what is left of it cannot be told apart."""
        result = self.found
        return result.first is not None and result.confidence >= 1 - ALPHA

    def run(self) -> None:
        """
        Ask until there is nothing left to ask.

        Raises:
            EngineError: the good one cannot be measured, so nothing can be held against it.
        """
        good = self._bench.changed(self._cases, parse_variant(self.choices[0].variant))
        self._bench.session.put(Side.A, good, name="A")
        began_s = time.monotonic()
        while (candidate := next_question(self.questions, candidates=len(self.choices))) is not None:
            self._announce(candidate, time.monotonic() - began_s)
            told = self._asked_about(candidate)
            if told is None:
                self.interrupted = True
                return
            question = Question(candidate=candidate, answer=told.answer, error=told.error)
            self.steps.append(Step(question=question, runs=told.runs, words=told.words))
            self._bench.screen.say(step_words(self.choices, self.steps[-1]))

    def _announce(self, candidate: int, spent_s: float) -> None:
        number = len(self.steps) + 1
        left = questions_left(self.questions, candidates=len(self.choices))
        time_left = f", {length_of_time(spent_s / (number - 1) * left)}" if number > 1 else ""
        name = printable(self.choices[candidate].name)
        self._bench.screen.say(f"question {number}: is {name} worse than {self.choices[0].name}? (about {left} left{time_left})")

    def _asked_about(self, candidate: int) -> Told | None:
        """What measurements say of a candidate, with repeats where they cannot tell; None where they were interrupted."""
        choice = self.choices[candidate]
        name = f"B-{len(self.steps) + 1:02}-{safe_name(choice.name)[:_NAME_LENGTH]}"
        try:
            changed = self._bench.changed(self._cases, parse_variant(choice.variant))
        except EngineError as error:
            return Told(answer=Answer.BROKEN, words=str(error), runs=0)
        self._bench.session.put(Side.B, changed, name=name)
        parts: list[Turns[Measured]] = []
        told = Told(answer=Answer.CANNOT_TELL, words="", runs=0)
        for repeat in range(1, self._repeats + 1):
            plan = ab.plan(self._blocks, first=len(parts) * self._blocks)
            parts.append(self._bench.measured(self._cases, plan=plan, tolerated=self._tolerated))
            told = self._judged(ab.joined(parts), choice, looks=repeat)
            if parts[-1].interrupted:
                return None
            if told.answer is not Answer.CANNOT_TELL:
                break
            self._bench.screen.say(f"cannot tell after {told.runs} runs: {told.words}")
        return told

    def _judged(self, turns: Turns[Measured], choice: Candidate, *, looks: int) -> Told:
        """
        What all that was measured of a candidate says.

        Each look at it may be wrong with the chance that `error_of` says, the last of ``looks`` with at most so many times that.
        """
        for case_id, why in turns.lost.items():
            if why.startswith(f"{Side.A} "):
                raise EngineError(f"{self.choices[0].name}, which is to be good, could not be measured: {case_id}: {why}")
        if turns.lost:
            case_id, why = next(iter(turns.lost.items()))
            return Told(answer=Answer.BROKEN, words=f"{case_id}: {why}", runs=len(turns.taken))
        ids = [case.id for case in self._cases]
        held = hold(turns, ids, self._tolerated, names=(self.choices[0].name, choice.name))
        error = min(looks * error_of(held), _ERROR_MAX)
        return Told(answer=answer_of(held), words=held_words(held), runs=len(turns.taken), error=error)


def answer_of(held: Held) -> Answer:
    """Worse with any regression; else what cannot be told makes the whole so; else the same, or better."""
    changes = {each.change for each in held.compared.comparisons}
    if Change.REGRESSION in changes:
        return Answer.WORSE
    return Answer.CANNOT_TELL if Change.CANNOT_TELL in changes or not changes else Answer.SAME


def error_of(held: Held) -> float:
    """How often such an answer is wrong at most: 0.5 % where it holds at that level, too, else 5 %."""
    regressions = [each.decided.p for each in held.paired if each.decided.change is Change.REGRESSION]
    p = min(regressions) if regressions else max((each.p_within for each in held.paired), default=1.0)
    return _SURE if p <= _SURE else ALPHA


def held_words(held: Held) -> str:
    """``tpot_p50 +9.8 % (+6.1 % to +13.6 %)`` of the figures that decided: regressions, else what cannot be told, else all."""
    every = held.compared.comparisons
    deciding = next((part for change in (Change.REGRESSION, Change.CANNOT_TELL) if (part := _of(every, change))), list(every))
    return ", ".join(f"{each.tolerance.name} {_size(each)}" for each in deciding)


def step_words(choices: Sequence[Candidate], step: Step) -> str:
    """``worse        3f9c2ab Make the scheduler wait (16 runs): tpot_p50 +30.1 % (...)``."""
    question = step.question
    name = printable(choices[question.candidate].name)
    return f"{question.answer.value:<12} {name} ({step.runs} runs): {printable(redact_text(step.words))}"


def result_lines(search: Search) -> list[str]:
    """The questions with their answers, and the result, as people read it."""
    names = [printable(choice.name) for choice in search.choices]
    lines = [f"good         {names[0]}", *(step_words(search.choices, step) for step in search.steps)]
    runs = sum(step.runs for step in search.steps)
    effort = f"{len(search.steps)} questions, {runs} runs"
    return [*lines, *_conclusion(search, names), effort]


def _conclusion(search: Search, names: Sequence[str]) -> list[str]:
    result = search.found
    chance = f"{result.confidence:.0%} sure"
    if not search.steps:
        return ["nothing was answered"]
    first = search.steps[0]
    if not first.question.told:
        return [f"{names[-1]} cannot be held against {names[0]}, so nothing can be found: {printable(redact_text(first.words))}"]
    if result.first is None or result.last is None:
        return [f"none of them is worse than {names[0]} ({chance}); is the case the one that got slower?"]
    lines = [f"the first that is worse: {names[result.first]} ({chance}{'' if search.sure else ', not enough'})"]
    if result.last > result.first:
        between = ", ".join(names[result.first : result.last + 1])
        lines = [f"the first that is worse is one of these, which cannot be told apart: {between} ({chance})"]
    if result.against > 1:
        lines.append(f"{result.against} answers say otherwise: it may have been taken back and come again in between")
    return lines


def result_json(search: Search, bench: Bench) -> dict[str, Any]:
    """The same as plain JSON types; candidates by name, in their order."""
    names = [redact_text(choice.name) for choice in search.choices]
    result = search.found
    worse = [] if result.first is None or result.last is None else names[result.first : result.last + 1]
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": bench.run.run_id,
        "candidates": names,
        "first_worse": worse,
        "sure": search.sure,
        "confidence": round(result.confidence, 4),
        "answers_against": result.against,
        "interrupted": search.interrupted,
        "runs": sum(step.runs for step in search.steps),
        "questions": [
            {
                "candidate": names[step.question.candidate],
                "answer": step.question.answer.value,
                "error_at_most": step.question.error,
                "runs": step.runs,
                "words": redact_text(step.words),
            }
            for step in search.steps
        ],
        "notes": [redact_text(note) for note in bench.session.notices],
    }


def _of(comparisons: Sequence[Comparison], change: Change) -> list[Comparison]:
    return [each for each in comparisons if each.change is change]


def _size(found: Comparison) -> str:
    """The change with its interval, or why there is none."""
    if not isfinite(found.effect):
        return found.reason
    return f"{signed(found, found.effect)} ({signed(found, found.low)} to {signed(found, found.high)})"


def _image(cases: Sequence[Case]) -> str:
    images = sorted({case.engine.image or "" for case in cases})
    if len(images) != 1 or not images[0]:
        raise ConfigError("the cases name no image, or several; say which the tags are of", file="--image")
    return images[0]
