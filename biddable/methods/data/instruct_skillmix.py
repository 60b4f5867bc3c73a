"""Instruct-SkillMix: instructions that need several skills at once, with responses, from one strong model.

Kaur, Park, Goyal and Arora 2024, "Instruct-SkillMix: A Powerful Pipeline for LLM Instruction Tuning" (ICLR
2025, arXiv 2408.14774).

Claim: 4,000 such rows and nothing but supervised fine-tuning bring LLaMA-3-8B-Base to a length-controlled win
rate of 42.76 % on AlpacaEval 2.0. Answers of low quality in the place of a fifth of them ("shirkers", too
brief or junk) are enough to undo much of it. (Other numbers of the paper's tables were not verified.)

The steps:

1. skills: those of a file (``--skills``), or what the teacher names, by topics that it lists (``--topics``,
   variant SDA), or for the requests of a data set (``--data``, variant SDD); and kinds of requests;
2. mixes: ``--k`` skills at random and a kind of request for each row;
3. rows: a conversation of five turns (write, in full, criticise, refine, in full), from which instruction
   and response are read; what fails is tried again, in four passes;
4. what the rows cover; a student of them (``--student``), beside the model as it came, on rows of
   combinations that it did not learn, by a judge (``--judge``);
5. without skills, the proof (``experiments.skillmix_proof``): rules of composed tasks are the skills, so that
   code checks every answer. As many rows of two rules, of one, and of two with a fifth of shirkers, are
   learned from by one model each; all are measured on pairs of rules that none of them learned.

Departures from the paper, and why:

* *Prompts* are ours: those for the extraction of skills are not published, and the others are worded anew.
* *Names of skills* that are alike are merged by their words; the paper has the model cluster them.
* *Rows whose response is none* (a loop, a copy of the request) are dropped, and so is an instruction that was
  there before; each with its reason.
* *In the proof* requests are composed, and the teacher, which is as small as the student, answers them; a
  rule repairs what it got wrong. So it shows which rows are worth learning from, and not how much a stronger
  teacher adds: that is the same for all arms.
* *Its shirkers* are asked for a few words, or for junk, since a good answer is two sentences there.
* *No checkpoint is chosen*, so no validation data are needed; held-out rows have draws of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from biddable.config import Count, Natural, settings
from biddable.errors import InputError, RunError
from biddable.experiments.figures import losses
from biddable.experiments.instructions import BASE
from biddable.experiments.skillmix import (
    Conversation,
    converse,
    coverage_numbers,
    coverage_table,
    examples_of,
    finish,
    judged,
    pass_table,
    require_examples,
)
from biddable.experiments.skillmix_bank import (
    LIBRARY_QUERIES,
    LIBRARY_SKILLS,
    extract_query_types,
    extract_skills,
    skills_of_data,
    write_bank,
)
from biddable.experiments.skillmix_proof import Plan, ProofSettings, RuleProof
from biddable.experiments.stages import finetuned, with_seed
from biddable.experiments.voting import require_model
from biddable.judges.pairwise import load_pair_judge
from biddable.methods.base import About, Method, show
from biddable.models.base import Sampling
from biddable.models.lazy import LazyModel
from biddable.models.load import require_trainable
from biddable.runs.figures import Figure
from biddable.runs.results import Results
from biddable.runs.run import Run
from biddable.tasks.data import split, write_conversations
from biddable.tasks.skillmix import (
    Example,
    Mix,
    SkillBank,
    check_k,
    coverage_report,
    read_examples,
    read_query_types,
    read_skills,
    sample_mixes,
    write_examples,
)
from biddable.tasks.skillmix_turns import TURNS, Style, read_turns
from biddable.tasks.steps import Funnel
from biddable.train.config import SftConfig
from biddable.types import Comparison, exchange, user
from biddable.types import Conversation as Learned


@settings
class InstructSkillMixConfig:
    """Settings of Instruct-SkillMix."""

    teacher: str = "smollm2"
    """Who names skills and writes rows; any model."""
    skills: Path | None = None
    """Skills, one a line, none with a comma."""
    queries: Path | None = None
    """Kinds of requests, separated by ###, each as * name * definition; without, the library's."""
    topics: Natural = 0
    """Have the teacher list so many topics, and skills and kinds of requests for them (variant SDA)."""
    data: Path | None = None
    """Have the teacher name skills for the requests in these rows (variant SDD)."""
    requests: Count = 200
    """Of how many of them, drawn at random."""
    made: Path | None = None
    """Rows made before, in the published columns, instead of new ones."""
    per_topic: Count = 5
    """Skills that are asked for, of each topic or row."""
    most: Count = 200
    """Skills that are kept of those that the teacher named."""
    k: int = 2
    """Skills of each row."""
    rows: Count = 72
    """Rows that are asked for (paper: 1000 to 4000)."""
    unique: bool = False
    """Let no two rows have the same skills."""
    turns: Path | None = None
    """Your own five turns, a JSON list of texts, the first with {skills}, {query_type} and {definition}."""
    style: Style = "gpt"
    """Where instruction and response are read: as the published code does for GPT, or for Claude."""
    passes: Count = 4
    """How often what failed is tried."""
    sampling: Sampling = Sampling(max_tokens=512, temperature=0.7)
    """How the teacher's turns are drawn (paper: 4096 tokens)."""
    student: str = ""
    """A model to train on the rows; empty: smollm2 without skills of your own, else none."""
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Share of the combinations of skills that a student does not learn."""
    judge: str = ""
    """Who compares the student with the model as it came (pairwise:MODEL, rating:MODEL, a reward model)."""
    max_tokens: Count = 256
    """The student's longest answer to a held-out row."""
    sft: SftConfig = SftConfig(lr=5e-5, batch_size=4, too_long="drop")
    """How students are trained (paper: 2e-5 and batches of 64 for 7B)."""
    proof: ProofSettings = ProofSettings()
    """The proof on composed rules."""
    talks: Natural = 4
    """Conversations of five turns that go with the proof, each tried once, to see how the teacher does."""


class InstructSkillMix(Method):
    """Instruct-SkillMix (see ``biddable.methods.data.instruct_skillmix``)."""

    about = About(
        title="Instruct-SkillMix: rows that need several skills at once, written by a teacher",
        citation="Kaur et al. 2024, arXiv 2408.14774",
        claim=(
            "4,000 rows that mix two skills each, written by a strong model, make supervised fine-tuning "
            "alone competitive (LLaMA-3-8B: 42.76 % length-controlled on AlpacaEval 2.0); answers of low "
            "quality in a fifth of the rows undo much of it."
        ),
        needs="a teacher, any model; the proof on 2 CPU cores has smollm2 as teacher and student",
        minutes={"smoke": "1 (2 cores)", "default": "24 (1 core, busy)", "full": "100 (1 core, busy)"},
        takes="a teacher (--teacher), skills (--skills, --queries), or what to extract them from (--topics, "
        "--data), or rows made before (--made); a student (--student) and a judge (--judge)",
        leaves="conversations (artifacts/data), the same in the published columns (artifacts/skillmix), "
        "skills and kinds of requests (artifacts/bank), what was dropped and why (artifacts/dropped), the "
        "student (artifacts/model)",
    )
    Config = InstructSkillMixConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {
            **{"rows": 12, "proof.test": 12, "proof.samples": 1, "talks": 2},
            **{"proof.sampling.max_tokens": 40, "sampling.max_tokens": 48},
        },
        "full": {"rows": 150, "proof.seeds": 2, "proof.few": True, "talks": 8},
        "gpu": {"rows": 2000, "proof.test": 1000, "proof.seeds": 5, "proof.samples": 4, "proof.few": True,
                "talks": 200, "sampling.max_tokens": 1024},
    }  # fmt: skip
    only: ClassVar = {
        "no made": ("teacher", "k", "rows", "turns", "style", "passes", "sampling", "proof", "talks"),
        "skills or topics or data": ("queries", "unique", "passes"),
        "skills or topics or data or talks": ("turns", "style", "sampling"),
        **dict.fromkeys(("no skills", "no topics", "no data"), ("proof", "talks")),
        "topics or data": ("per_topic", "most"), "data": ("requests",),
        "student": ("judge",), "judge": ("max_tokens",), "skills or topics or data or made": ("judge",),
        **{f"student or no {each}": ("sft", "held_out") for each in ("skills", "topics", "data", "made")},
    }  # fmt: skip
    config: InstructSkillMixConfig

    def check(self) -> None:
        """See ``Method.check``: skills, kinds of requests, turns, rules and models."""
        config = self.config
        sources = {"skills": config.skills, "topics": config.topics, "data": config.data, "made": config.made}
        named = [name for name, value in sources.items() if value]
        if len(named) > 1:
            raise InputError(named[1], sources[named[1]], f"no other source of skills beside --{named[0]}")
        self.source = named[0] if named else ""
        self.notes: list[str] = []
        self.turns = read_turns(config.turns) if config.turns else TURNS
        self.skills, self.types, self.read = [], [*LIBRARY_QUERIES], []
        if config.skills:
            self.skills = self._read(config.skills, *read_skills(config.skills))
            check_k(config.k, len(self.skills))
            possible = comb(len(self.skills), config.k)
            if config.unique and config.rows > possible:
                raise InputError("rows", config.rows, f"at most {possible}, for no two of the same skills")
        if config.queries:
            self.types = self._read(config.queries, *read_query_types(config.queries))
        if config.made:
            self.read = self._read(config.made, *read_examples(config.made))
        if config.k < 1:
            raise InputError("k", config.k, "an integer of at least 1")
        if self.source != "made":
            require_model("teacher", config.teacher)
        self.teacher = LazyModel(config.teacher)
        self.student = config.student or ("" if self.source else "smollm2")
        if self.student:
            try:
                require_trainable(self.student)
            except InputError as error:
                raise InputError("student", error.value, error.expected) from None
        self.judge = load_pair_judge(config.judge) if config.judge else None
        if not self.source:
            sizes = (config.k, config.rows, config.held_out)
            self.proof = RuleProof(Plan(config.teacher, self.student, *sizes, config.sft, config.proof))

    def _read(self, path: Path, kept: list[Any], left_out: Sequence[str]) -> list[Any]:
        """What was read; what was left out is noted."""
        if left_out:
            self.notes.append(f"{len(left_out)} left out of {path.name}, the first: {left_out[0]}")
        return kept

    def run(self, run: Run) -> Results:
        """See ``Method.run``."""
        run.describe(teacher=self.config.teacher, student=self.student)
        return self._own_skills(run) if self.source else self._rules(run)

    # -- 1. to 4. your own skills --------------------------------------------------------------------------

    def _own_skills(self, run: Run) -> Results:
        config, notes = self.config, list(self.notes)
        figures: list[Figure] = []
        metrics: dict[str, Any] = {}
        if self.source == "made":
            skills: list[str] = []
            whole = Funnel({f"row {i}": row for i, row in enumerate(self.read, 1)})
            finish(whole)
            require_examples(whole, str(config.made))
            parts = {"": whole}
            learned, held = self._split(whole.rows, [tuple(sorted(row.skills)) for row in whole.rows])
        else:
            bank = self._bank(run, figures, notes)
            skills = [*bank.skills]
            number = round(config.rows / (1 - config.held_out)) if self.student else config.rows
            mixes = sample_mixes(bank, config.k, number, run.seed("mixes"), unique=config.unique)
            to_learn, to_test = self._split(mixes, [mix.combination for mix in mixes])
            talks = {"": self._talks(run, to_learn, config.passes)}
            if to_test:
                talks["held-out"] = self._talks(run.scope("held-out"), to_test, config.passes)
            parts = {
                name: examples_of(of, config.teacher, f"{name} row".strip()) for name, of in talks.items()
            }
            require_examples(parts[""], config.teacher)
            learned, held = parts[""].rows, parts["held-out"].rows if "held-out" in parts else []
            figures.append(pass_table(talks[""]))
            notes += _cut_off([each for of in talks.values() for each in of])
        covered = {"what was made": coverage_report(learned, skills)}
        for name, funnel in parts.items():
            what = f"{name or 'rows'}: what each step kept"
            figures += [funnel.table(what.capitalize())]
            funnel.write_dropped(run.artifact("dropped", f"{name or 'rows'}.jsonl"))
            metrics[name or "rows"] = funnel.counts()
        metrics["coverage"] = coverage_numbers(covered["what was made"])
        figures += [coverage_table(covered), _browser(parts[""])]
        self._leave(run, learned)
        comparisons: list[Comparison] = []
        if self.student:
            comparisons = self._student(run, learned, held, figures, notes)
        else:
            notes.append("Nothing was trained, so nothing is compared: --student and --judge do.")
        show(run, figures)
        return run.finish(comparisons, metrics=metrics, notes=notes)

    def _split(self, rows: list[Any], sources: list[tuple[str, ...]]) -> tuple[list[Any], list[Any]]:
        """Rows to learn from and held-out ones, by combination; all are learned from without a student."""
        if not self.student:
            return rows, []
        if len({*sources}) < 2:
            raise InputError("student", self.student, "rows of two combinations of skills, or no student")
        return split(rows, sources, self.config.held_out, seed=0)

    def _bank(self, run: Run, figures: list[Figure], notes: list[str]) -> SkillBank:
        """The skills and kinds of requests, extracted where none are named."""
        config, skills, types = self.config, self.skills, self.types
        if config.topics or config.data:
            how = (config.per_topic, config.most, config.sampling)
            extracted = (
                skills_of_data(run, self.teacher, config.data, config.requests, *how)
                if config.data
                else extract_skills(run, self.teacher, config.topics, *how)
            )
            skills = extracted.skills
            notes += extracted.notes
            figures.append(extracted.funnel.table("Skills: what each step kept"))
            extracted.funnel.write_dropped(run.artifact("dropped", "skills.jsonl"))
            if not config.queries:
                types, more = extract_query_types(run, self.teacher, len(LIBRARY_QUERIES), config.sampling)
                notes += more
            if config.k > len(skills):
                raise RunError(f"k is {config.k}, and the teacher named {len(skills)} skills: too few")
        bank = SkillBank(tuple(skills), tuple(types))
        write_bank(run.artifact("bank", "skills.txt"), run.artifact("bank", "queries.txt"), bank)
        return bank

    def _talks(self, run: Run, mixes: Sequence[Mix], passes: int) -> list[Conversation]:
        config = self.config
        how: dict[str, Any] = {"sampling": config.sampling, "style": config.style, "passes": passes}
        return converse(run, self.teacher, mixes, self.turns, **how)

    def _leave(self, run: Run, rows: Sequence[Example]) -> None:
        """Leave the rows as conversations and, in the same order, in the published columns."""
        chats = [exchange(user(row.instruction), row.output) for row in rows]
        learned = [Learned(chat, (False, True)) for chat in chats]
        write_conversations(run.artifact("data", "conversations.jsonl"), learned)
        write_examples(run.artifact("skillmix", "rows.json"), rows)

    def _student(
        self,
        run: Run,
        learned: Sequence[Example],
        held: Sequence[Example],
        figures: list[Figure],
        notes: list[str],
    ) -> list[Comparison]:
        """The student, and how it compares with the model that it was on held-out rows."""
        config, sft = self.config, with_seed(self.config.sft, run.first_seed)
        write_examples(run.artifact("held-out", "rows.json"), held)
        chats = [exchange(user(row.instruction), row.output) for row in learned]
        model = finetuned(run, "student", self.student, chats, sft)
        run.publish(model, "model")
        figures += losses(run, {"student": "student"})
        if self.judge is None:
            notes.append("The student was not compared with the model as it came: --judge does.")
            return []
        if len(held) < 2:
            notes.append(f"{len(held)} held-out rows are left: nothing is compared.")
            return []
        return judged(run, self.judge, held, {BASE: self.student, "student": model}, config.max_tokens, notes)

    # -- 5. rules as skills --------------------------------------------------------------------------------

    def _rules(self, run: Run) -> Results:
        """The proof on composed tasks, and a few conversations to see how the teacher does."""
        proof = self.proof.run(run)
        self._leave(run, proof.rows)
        run.publish(proof.model, "model")
        for arm, funnel in proof.funnels.items():
            funnel.write_dropped(run.artifact("dropped", f"{arm.replace(' ', '-')}.jsonl"))
        talked, figures, notes = self._shown_talks(run)
        show(run, [*proof.figures, *figures])
        metrics = {**proof.metrics, "conversations": talked}
        return run.finish(proof.comparisons, metrics=metrics, notes=[*self.notes, *notes])

    def _shown_talks(self, run: Run) -> tuple[dict[str, Any], list[Figure], list[str]]:
        """A few conversations on the library's skills: numbers, figures and notes."""
        config = self.config
        if not config.talks:
            return {}, [], []
        bank = SkillBank(LIBRARY_SKILLS, LIBRARY_QUERIES)
        mixes = sample_mixes(bank, min(config.k, len(LIBRARY_SKILLS)), config.talks, run.seed("mixes"))
        talks = self._talks(run, mixes, passes=1)
        funnel = examples_of(talks, config.teacher)
        funnel.write_dropped(run.artifact("dropped", "conversations.jsonl"))
        figures = [
            funnel.table("Conversations on the library's skills: what each step kept"),
            pass_table(talks),
        ]
        return funnel.counts(), [*figures, _browser(funnel)], _cut_off(talks)


def _cut_off(talks: Sequence[Conversation]) -> list[str]:
    """A note on rows whose last turn ran into the limit of tokens."""
    cut = sum(each.cut_off for each in talks if isinstance(each.result, tuple))
    made = sum(isinstance(each.result, tuple) for each in talks)
    return (
        [f"{cut} of {made} rows end where the teacher's tokens did (--sampling.max_tokens)."] if cut else []
    )


def _browser(funnel: Funnel[Example]) -> Figure:
    """Rows to read, with their skills."""

    def show_row(row: Example) -> tuple[str, str]:
        return row.instruction or "(none)", row.output

    def notes(name: str, row: Example) -> list[str]:
        return [f"skills: {', '.join(row.skills)}", *([f"kind: {row.query_type}"] if row.query_type else [])]

    return funnel.browser("Rows to read", show_row, notes=notes)
