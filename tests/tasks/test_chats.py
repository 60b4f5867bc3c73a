"""Reading chats in the forms that data sets have."""

import pytest

from biddable.errors import InputError
from biddable.tasks.chats import asked, read_chat
from biddable.types import Message

U = {"role": "user", "content": "Hi."}
A = {"role": "assistant", "content": "Ho."}
S = {"role": "system", "content": "Sing."}
USER, ASSISTANT, SYSTEM = Message("user", "Hi."), Message("assistant", "Ho."), Message("system", "Sing.")


def parts(*texts):
    return [{"type": "text", "text": text} for text in texts]


@pytest.mark.parametrize(
    ("row", "chat"),
    [
        ({"prompt": "Hi."}, (USER,)),
        ({"prompt": "Hi.", "messages": None, "key": 3}, (USER,)),
        ({"messages": [S, U]}, (SYSTEM, USER)),
        ({"prompt": [S, U]}, (SYSTEM, USER)),
        ({"messages": [{"role": "developer", "content": "Sing."}, U]}, (SYSTEM, USER)),
        ({"messages": [{"role": "user", "content": parts("H", "i.")}]}, (USER,)),
        ({"messages": [{"role": "user", "content": ["Hi", *parts(".")]}]}, (USER,)),
        ({"messages": [{"role": "user", "content": [{"type": "input_text", "text": "Hi."}]}]}, (USER,)),
        ({"conversations": [{"from": "human", "value": "Hi."}]}, (USER,)),
        (
            {"conversations": [{"from": who, "value": said} for who, said in
                               (("system", "Sing."), ("human", "Hi."), ("gpt", "Ho."))]},
            (SYSTEM, USER, ASSISTANT),
        ),
        ({"conversations": [U, A]}, (USER, ASSISTANT)),
        ({"instruction": "Hi.", "output": "Ho."}, (USER,)),
        ({"instruction": "Hi.", "input": ""}, (USER,)),
        ({"instruction": "Count.", "input": "1 2"}, (Message("user", "Count.\n1 2"),)),
        ({"instruction": "Count.", "context": "1 2", "response": "2"}, (Message("user", "Count.\n1 2"),)),
        ({"instruction": "Hi.", "input": "", "context": ""}, (USER,)),
        ({"system_prompt": "Sing.", "prompt": "Hi."}, (SYSTEM, USER)),
        ({"system_prompt": "Sing.", "system": "Sing.", "prompt": "Hi."}, (SYSTEM, USER)),
        ({"instruction": "Hi.", "history": [["Hi.", "Ho."]]}, (USER, ASSISTANT, USER)),
        ({"instruction": "Hi.", "history": []}, (USER,)),
        ({"messages": '[{"role": "user", "content": "Hi."}]'}, (USER,)),
        ({"messages": [{"role": "user", "content": [{"type": "text", "value": "Hi."}]}]}, (USER,)),
        ({"prompt": "\n\nHuman: Hi.\n\nAssistant: Ho.\n\nHuman: Hi.\n\nAssistant:"}, (USER, ASSISTANT, USER)),
        ({"prompt": "Hi.", "instruction": "a name of the user's"}, (USER,)),
        ({"prompt": "Hi.", "messages": [S, U, A]}, (SYSTEM, USER, ASSISTANT)),
        ({"prompt": [U], "messages": [U]}, (USER,)),
        ({"system": "Sing.", "conversations": [{"from": "human", "value": "Hi."}]}, (SYSTEM, USER)),
        ({"system": "", "prompt": "Hi."}, (USER,)),
        ({"messages": [{**U, "tool_calls": None, "name": "me"}], "tools": []}, (USER,)),
    ],
    ids=str,
)  # fmt: skip
def test_a_chat_is_read(row, chat):
    assert read_chat(row) == chat


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "expected an object with either prompt or messages"),
        ("Hi.", "the line is 'Hi.', expected an object"),
        ({"question": "Hi."}, "expected an object with either prompt or messages"),
        (
            {"prompt": "Other.", "messages": [U]},
            "], expected either messages or prompt, or a messages that is among",
        ),
        ({"prompt": {"role": "user"}}, "prompt is {'role': 'user'}, expected a text"),
        ({"prompt": []}, "prompt is [], expected at least one message"),
        ({"prompt": ["Hi."]}, "prompt[0] is 'Hi.', expected an object with role and content"),
        (
            {"messages": [U, {"role": "tool", "content": "4"}]},
            "messages[1].role is 'tool', expected one of user",
        ),
        ({"messages": [{"role": "function", "content": "4"}]}, "messages[0].role is 'function'"),
        ({"messages": [{"role": ["user"], "content": "4"}]}, "messages[0].role is ['user']"),
        (
            {"messages": [{"role": "user"}]},
            "messages[0] is {'role': 'user'}, expected an object with role and",
        ),
        ({"messages": [{**U, "content": None}]}, "messages[0].content is None, expected a text"),
        ({"messages": [{**U, "content": []}]}, "messages[0].content is '', expected a text"),
        (
            {
                "messages": [
                    {**U, "content": [*parts("See"), {"type": "image_url", "image_url": {"url": "x"}}]}
                ]
            },
            "messages[0].content[1] is {'type': 'image_url', 'image_url': {'url': 'x'}}, expected a part",
        ),
        ({"messages": [{**U, "content": [{"type": "text"}]}]}, "messages[0].content[0] is"),
        ({"messages": [U, {**A, "tool_calls": [{"id": 1}]}]}, "messages[1].tool_calls is"),
        ({"messages": [U], "tools": [{"name": "add"}]}, "tools is"),
        ({"image": "x.png", "conversations": [{"from": "human", "value": "Hi."}]}, "image is 'x.png'"),
        (
            {"conversations": [{"from": "observation", "value": "4"}]},
            "conversations[0].from is 'observation'",
        ),
        ({"conversations": [{"from": "human", "content": "4"}]}, "conversations[0] is"),
        (
            {"instruction": "Hi.", "history": [["a", "b", "c"]]},
            "history[0] is ['a', 'b', 'c'], expected a pair",
        ),
        ({"instruction": "Hi.", "history": "a"}, "history is 'a', expected a list of pairs"),
        ({"instruction": "Hi.", "history": [["a", ""]]}, "history[0] is '', expected a text"),
        ({"instruction": 4}, "instruction is 4"),
        ({"instruction": "Hi.", "input": 4}, "input is 4"),
        ({"prompt": "Hi.", "system": 4}, "system is 4"),
        ({"messages": [{**U, "images": ["x.png"]}]}, "messages[0].images is ['x.png']"),
        ({"messages": [U], "documents": [{"text": "Hills."}]}, "documents is"),
        ({"instruction": "Hi.", "input": "a", "context": "b"}, "context is 'b', expected nothing"),
        ({"messages": [S, U], "system_prompt": "Dance."}, "system_prompt is 'Dance.', expected nothing"),
        ({"messages": [S, U], "system": "Dance."}, "system is 'Dance.', expected nothing"),
    ],
    ids=str,
)
def test_what_cannot_be_passed_on_is_named(row, message):
    with pytest.raises(InputError) as caught:
        read_chat(row)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_to_be_answered_ends_before_the_answer():
    assert asked((USER, ASSISTANT, ASSISTANT)) == (USER,)
    assert asked((USER, ASSISTANT, USER)) == (USER, ASSISTANT, USER)
    with pytest.raises(InputError, match="expected a turn to answer"):
        asked((ASSISTANT,))
