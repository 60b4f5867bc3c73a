"""Chat templates: each turn's words are in what is rendered, or the template is refused in one line."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from biddable.errors import ModelError
from biddable.models import template
from biddable.models.template import Template, TemplateRefusal
from biddable.types import Chat, Message, user

OPENED = "{% for m in messages %}<{{ m['role'] }}>"
ASKING = "{% if add_generation_prompt %}<assistant>{% endif %}"
TEXTS = OPENED + "{{ m['content'] }}</s>\n{% endfor %}" + ASKING
PARTS = {
    "loop": "{% for part in m['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}",
    "first": "{{ m['content'][0]['text'] }}",
    "attribute": "{% for part in m.content if part.type == 'text' %}{{ part.text }}{% endfor %}",
    "refuses text": "{% if m['content'] is string %}{{ raise_exception('parts') }}{% endif %}"
    "{{ m.content[0].text }}",
}
SYSTEM: Chat = (Message("system", "Be brief."), *user("Name a river."))
LONG: Chat = (*SYSTEM, Message("assistant", "The Elbe."), *user("Another."))


def made(text: Any) -> Template:
    backend = Tokenizer(WordLevel({"a": 0}, unk_token="a"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", bos_token="<s>")
    tokenizer.chat_template = text
    return Template(tokenizer)


def test_a_template_that_takes_texts_is_given_texts() -> None:
    expected = (
        "<system>Be brief.</s>\n<user>Name a river.</s>\n<assistant>The Elbe.</s>\n<user>Another.</s>\n"
    )
    assert made(TEXTS).prompt(LONG) == expected + "<assistant>"
    assert made({"default": TEXTS, "tool_use": "no"}).prompt(LONG) == expected + "<assistant>"


@pytest.mark.parametrize("content", PARTS.values(), ids=PARTS)
def test_a_template_that_takes_parts_is_given_parts(content: str) -> None:
    in_parts = made(TEXTS.replace("{{ m['content'] }}", content))
    for chat in (user("Name a river."), SYSTEM, LONG):
        assert in_parts.prompt(chat) == made(TEXTS).prompt(chat)
    assert next(in_parts.closings()) == next(made(TEXTS).closings())


@pytest.mark.parametrize(
    "text",
    [
        "{% for m in messages if m.role != 'system' %}<{{ m.role }}>{{ m.content }}{% endfor %}",
        "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}"
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}",
        "{% for m in messages if m.role != 'system' %}<{{ m.role }}>{{ m.content[0].text }}{% endfor %}",
    ],
)
def test_a_system_turn_is_never_lost(text: str, caplog: Any) -> None:
    assert made(text).prompt(SYSTEM).startswith("<user>Be brief.\n\nName a river.")
    assert len(caplog.messages) == 1


def test_a_system_turn_that_the_template_takes_stays_where_it_is(caplog: Any) -> None:
    made(TEXTS).prompt(SYSTEM)
    assert not caplog.messages


@pytest.mark.parametrize(
    ("text", "taken", "problem"),
    [
        ("{{ messages[-1].content }}", user("a"), "it leaves out what the system says in turn 1"),
        ("{{ messages[0].content }}", user("a"), "it leaves out what the user says in turn 2"),
        (
            "{% for m in messages if m.role != 'assistant' %}{{ m.content }}{% endfor %}",
            SYSTEM,
            "it leaves out what the assistant says in turn 3",
        ),
        (
            "{% if messages | length > 2 %}{{ 1 + 'a' }}{% endif %}" + TEXTS,
            SYSTEM,
            "TypeError: unsupported operand type",
        ),
        (
            "{% if messages | length > 2 %}{{ raise_exception('too\n many') }}{% endif %}" + TEXTS,
            SYSTEM,
            "^too many$",
        ),
    ],
)
def test_chats_that_a_template_does_not_take_are_refused_and_others_are_not(
    text: str, taken: Chat, problem: str
) -> None:
    some = made(text)
    for _ in range(2):
        with pytest.raises(TemplateRefusal, match=problem):
            some.prompt(LONG)
    assert taken[-1].content in some.prompt(taken)


WANTS_SYSTEM = "{% if messages[0].role != 'system' %}{{ raise_exception('a system turn first') }}{% endif %}"


def test_a_template_that_wants_a_system_turn_gets_it_from_the_user() -> None:
    wanting = made(WANTS_SYSTEM + TEXTS)
    assert wanting.prompt(SYSTEM) == made(TEXTS).prompt(SYSTEM)
    assert next(wanting.closings()) == ("</s>\n", "")
    with pytest.raises(TemplateRefusal, match=r"^a system turn first$"):
        wanting.prompt(user("a"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{% for m in messages %}{{ m['content'] }{% endfor %}", "unexpected '}'"),
        ("{% for m in messages %}{{ m.content }}", "Unexpected end of template"),
        ("{% for m in messages %}{{ 1 + m['content'] }}{% endfor %}", "TypeError: unsupported operand"),
        ("{{ messages[0].content | no_such_filter }}", "No filter named 'no_such_filter'"),
        ("{{ messages[0].content + date_string }}", "'date_string' is undefined"),
        ("{% for i in range(1000000) %}{% endfor %}", "Range too big"),
        ("{{ raise_exception('never') }}", "never"),
        ("Hello.", "it leaves out what the user says in turn 1"),
        ("{{ messages[0].content[:30] }}", "it leaves out what the user says in turn 1"),
        ("{{ messages[0].content | length }}", "it leaves out what the user says in turn 1"),
        ("{{ messages[0].content.__class__.__mro__ }}", "unsafe"),
    ],
)
def test_a_template_that_cannot_be_used_is_one_clear_line(text: str, problem: str) -> None:
    with pytest.raises(ModelError, match=f"^the chat template cannot be used: .*{problem}") as caught:
        made(text)
    assert "\n" not in str(caught.value)


def test_named_templates_need_a_default() -> None:
    with pytest.raises(
        ModelError, match=r"^the chat templates are named tool_use, rag, expected one named def"
    ):
        made({"tool_use": TEXTS, "rag": TEXTS})


def test_a_template_that_never_ends_is_given_up(monkeypatch: Any) -> None:
    monkeypatch.setattr(template, "SECONDS", 0.3)
    loop = "{% for i in range(99999) %}" * 3 + "{% endfor %}" * 3
    with pytest.raises(ModelError, match=r"it does not come to an end within 0.3 s$"):
        made(loop + TEXTS)
    for thread in threading.enumerate():
        if thread.name == "chat template":
            thread.join(10)
            assert not thread.is_alive(), "it goes on computing"


THINKING = (
    "{% for m in messages %}<{{ m.role }}>{% if loop.last and m.role == 'assistant' %}<think>\n\n</think>\n\n"
    "{% endif %}{{ m.content.split('</think>')[-1].strip() }}<end>\n{% endfor %}" + ASKING
)


@pytest.mark.parametrize(
    ("text", "between"),
    [
        (TEXTS, ""),
        (THINKING, "<think>\n\n</think>\n\n"),
        (OPENED + "{{ m['content'] }}</s>\n{% endfor %}", ""),  # which does not write what opens the answer
        (OPENED + "\n{{ m['content'] | trim }}\n### End\n{% endfor %}", ""),
        (
            "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %}"
            " {{ m.content }}</s>{% endif %}{% endfor %}",
            " ",  # goes with the answer's first token
        ),
    ],
)
def test_a_prompt_is_what_a_finished_chat_has_before_the_answer(text: str, between: str) -> None:
    chat = user("Name a river.")
    some = made(text)
    turns = [
        *({"role": m.role, "content": m.content} for m in chat),
        {"role": "assistant", "content": "Elbe"},
    ]
    finished = some._tokenizer.apply_chat_template(turns, tokenize=False)
    assert finished.startswith(some.prompt(chat) + between + "Elbe")


def test_what_an_earlier_answer_thought_is_left_out_as_the_template_says() -> None:
    chat = (*user("a"), Message("assistant", "<think>b</think>c"), *user("d"))
    assert made(THINKING).prompt(chat) == "<user>a<end>\n<assistant>c<end>\n<user>d<end>\n<assistant>"
    assert next(made(THINKING).closings()) == ("<end>\n", "")
