"""Parsers of frames: targets and sequences come back, both networks learn, and a parser is kept whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from biddable.errors import FileError, InputError, ModelError
from biddable.judges.frames import argument_f1
from biddable.policies import frame_parser
from biddable.policies.frame_batches import as_batch, flat_frames, flat_symbols, object_of, object_tags
from biddable.policies.frame_config import Labels, ParserConfig, States
from biddable.policies.frame_networks import IGNORED, STOP, pooled
from biddable.policies.frame_parser import FrameParser, fit, load_parser, standard_of
from biddable.tasks.compose_frames import compose_frames
from biddable.tasks.frames import ROLES, SKILLS, InstructionExample, example_of

ROW = example_of(
    {
        "input": "take the red cup and put it on the coffee table",
        "tage_output": "0 0 Picking ; 2 3 Theme | 5 5 Placing ; 2 3 Theme ; 9 10 Goal",
        "seq2seq_output": "picking : take , theme : red cup :cup ; placing : put , theme : red cup :cup , "
        "goal : coffee table :table",
    },
    SKILLS,
    ROLES,
)
SMALL = ParserConfig(width=32, epochs=80, batch_size=6, dropout=0.0, lr=1e-2)


def states_of(rows: list[InstructionExample]) -> States:
    """In place of a model's states: numbers of each word and the one before it, always the same."""

    def numbers(word: str) -> np.ndarray:
        return np.random.default_rng(abs(hash_of(word))).standard_normal(12)

    return [
        np.stack(
            [
                np.concatenate((numbers(w), numbers(before)))
                for before, w in zip(("", *row.words[:-1]), row.words, strict=True)
            ]
        ).astype(np.float16)
        for row in rows
    ]


def hash_of(word: str) -> int:
    return sum(ord(letter) * 31**at for at, letter in enumerate(word)) % 2**32


@pytest.fixture(scope="module")
def rows() -> list[InstructionExample]:
    made = [row for row, _ in compose_frames("train", 40, np.random.default_rng(0))]
    return [row for row in made if len(row.words) < 10][:16]


def test_a_sequence_of_symbols_comes_back_as_frames(rows: list[InstructionExample]) -> None:
    labels = Labels.of([ROW, *rows])
    for row in (ROW, *rows):
        symbols = flat_symbols(row, labels)
        assert symbols[-1] == STOP
        assert flat_frames(symbols[:-1], row.words, labels) == row.tasks


def test_symbols_that_say_nothing_are_left_out() -> None:
    labels = Labels.of([ROW])
    number = {symbol: at for at, symbol in enumerate(labels.symbols)}
    word = len(number)
    theme, cup, take = number["role", "theme"], number["object", "cup"], number["skill", "picking"]
    assert flat_frames([theme, word, cup, word + 1], ROW.words, labels) == ()
    assert flat_frames([take, theme, word + 3, cup], ROW.words, labels) == ()  # a task without its words
    [task] = flat_frames([take, word, theme, word + 3, word, theme, cup, theme, word + 3], ROW.words, labels)
    assert [(each.text, each.object_class, each.span) for each in task.arguments] == [
        ("cup take", "unk", None),  # copied from two places
        ("cup", "unk", task.arguments[1].span),
    ]


def test_tags_of_objects_are_read_back() -> None:
    labels = Labels.of([ROW])
    tags = object_tags(ROW, labels)
    cup, table = labels.objects.index("cup") + 1, labels.objects.index("table") + 1
    assert tags[2:4] == [2 * cup - 1, 2 * cup]
    assert tags[9:] == [2 * table - 1, 2 * table]
    assert object_of(tags[9:], labels) == "table"
    assert object_of([0, 0, 2 * cup], labels) == "unk"
    assert object_of([2 * cup, 2 * table], labels) == "table"  # as many: the last


def test_targets_of_a_batch() -> None:
    labels = Labels.of([ROW])
    batch = as_batch(states_of([ROW, ROW]), [ROW, ROW], labels)
    assert batch.states.shape == (2, 11, 24)
    assert batch.skills[0].tolist()[2] == STOP
    assert batch.spans[0, 1].tolist() == [[2, 3], [9, 10]]
    assert batch.roles[0, 0].tolist()[1:] == [STOP, IGNORED]
    assert batch.mask.all()


def test_the_mean_of_words_over_a_span() -> None:
    words = torch.arange(8.0).reshape(1, 4, 2)
    assert pooled(words, torch.tensor([[[1, 2], [3, 3]]])).tolist() == [[[3.0, 4.0], [6.0, 7.0]]]


@pytest.mark.parametrize("kind", ["nested", "flat"])
def test_what_was_learned_is_read_off_again_and_kept(
    kind: frame_parser.Kind, rows: list[InstructionExample], tmp_path: Path
) -> None:
    rows = sorted(rows, key=lambda row: len(row.words))[:6]
    states, gold = states_of(rows), [row.tasks for row in rows]
    parser = FrameParser(kind, Labels.of(rows), SMALL, standard_of(states))
    curve: list[float] = []
    best = fit(parser, rows, states, rows, states, 0, lambda epoch, loss, f1: curve.append(loss))
    assert len(curve) == SMALL.epochs
    assert curve[-1] < curve[0] / 3
    words = [row.words for row in rows]
    first = parser.parse(words, states)
    assert argument_f1(first, gold, grounding=True)["f1"] == pytest.approx(best)
    assert best > 0.9
    parser.save(tmp_path)
    assert load_parser(tmp_path).parse(words, states) == first
    # what stands beside a sentence in a batch changes nothing
    assert parser.parse(words[3:4], states[3:4]) == first[3:4]


def test_the_same_seed_gives_the_same_weights(rows: list[InstructionExample]) -> None:
    states, config = states_of(rows), ParserConfig(width=8, epochs=2)
    made = []
    for seed in (5, 5, 6):
        parser = FrameParser("nested", Labels.of(rows), config, standard_of(states))
        fit(parser, rows, states, rows, states, seed)
        made.append(parser.network.state_dict()["first.weight"])
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_no_more_tasks_and_arguments_than_allowed_and_ends_not_before_starts(
    rows: list[InstructionExample],
) -> None:
    states = states_of(rows)
    config = ParserConfig(width=8, max_tasks=2, max_arguments=1)
    parser = FrameParser("nested", Labels.of(rows), config, standard_of(states))  # not fitted: says anything
    for tasks in parser.parse([row.words for row in rows], states):
        assert len(tasks) <= 2
        for task in tasks:
            assert len(task.arguments) <= 1
            for span in (task.span, *(each.span for each in task.arguments)):
                assert span is not None
                assert span.start <= span.end


def test_settings_and_folders_that_do_not_serve(
    rows: list[InstructionExample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = states_of(rows)
    labels, standard = Labels.of(rows), standard_of(states)
    with pytest.raises(InputError, match="width is 7, expected an even number"):
        FrameParser("nested", labels, ParserConfig(width=7), standard)
    with pytest.raises(InputError, match="max_tasks is -1"):
        ParserConfig(max_tasks=-1)
    with pytest.raises(FileError, match=r"parser\.json"):
        load_parser(tmp_path)
    parser = FrameParser("flat", labels, ParserConfig(width=8), standard, encoder="smollm2", layer=2)
    with pytest.raises(InputError, match="a text that is not blank"):
        parser([" "])
    parser.save(tmp_path)
    weights = tmp_path / "parser.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError, match="no weights of such a parser"):
        load_parser(tmp_path)
    weights.write_bytes(whole)
    card = (tmp_path / "parser.json").read_text()
    (tmp_path / "parser.json").write_text(card.replace('"flat"', '"round"'))
    with pytest.raises(FileError, match="kind"):
        load_parser(tmp_path)
    (tmp_path / "parser.json").write_text(card)
    monkeypatch.setattr(frame_parser, "model_identity", lambda spec: "another")
    with pytest.raises(ModelError, match="the states of another smollm2"):
        load_parser(tmp_path)
