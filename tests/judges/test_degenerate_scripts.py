"""Answers in many scripts and forms that are answers, and their broken twins."""

from __future__ import annotations

import pytest

from biddable.judges.degenerate import degeneracy, own_words, repetition, task_degeneracy, wants_a_word
from biddable.types import Check, Task, user

# A request and four sentences that answer it.
PROSE = {
    "ja": (
        "富士山について日本語で書いてください。",
        [
            "富士山は日本で一番高い山です。",
            "静岡県と山梨県にまたがっています。",
            "夏には多くの人が頂上を目指して登ります。",
            "冬は雪が深くとても危険です。",
        ],
    ),
    "zh": (
        "用中文写一座山。",
        [
            "泰山位于山东省中部。",
            "它的主峰海拔一千五百多米。",
            "每年都有很多游客来这里看日出。",
            "山上还有许多古老的石刻。",
        ],
    ),
    "ko": (
        "산에 대해 한국어로 써 주세요.",
        [
            "설악산은 강원도에 있는 높은 산입니다.",
            "가을이면 단풍이 무척 아름답습니다.",
            "많은 등산객이 이른 아침부터 길을 나섭니다.",
            "겨울에는 눈이 허리까지 쌓입니다.",
        ],
    ),
    "th": (
        "เขียนเกี่ยวกับภูเขาเป็นภาษาไทย",
        [
            "ดอยอินทนนท์เป็นภูเขาที่สูงที่สุดในประเทศไทย",
            "อากาศข้างบนเย็นตลอดทั้งปี",
            "นักท่องเที่ยวชอบขึ้นไปดูทะเลหมอกตอนเช้า",
            "ใกล้ยอดเขามีน้ำตกและป่ามอส",
        ],
    ),
    "km": (
        "សូមសរសេរអំពីភ្នំ។",
        [
            "ភ្នំឱរ៉ាល់គឺជាភ្នំខ្ពស់ជាងគេនៅកម្ពុជា។",
            "ព្រៃឈើនៅជុំវិញមានសត្វព្រៃជាច្រើន។",
            "អ្នកទេសចរឡើងភ្នំនៅរដូវប្រាំង។",
            "ពេលយប់អាកាសធាតុត្រជាក់ណាស់។",
        ],
    ),
    "lo": (
        "ຂຽນກ່ຽວກັບພູເຂົາ",
        [
            "ພູເບ້ຍເປັນພູທີ່ສູງທີ່ສຸດໃນປະເທດລາວ",
            "ອາກາດຢູ່ເທິງນັ້ນໜາວຫຼາຍ",
            "ຊາວບ້ານປູກຜັກຢູ່ຕີນພູ",
            "ໃນລະດູຝົນທາງຂຶ້ນພູມື່ນ",
        ],
    ),
    "my": (
        "တောင်အကြောင်း ရေးပါ။",
        [
            "ခါကာဘိုရာဇီသည် မြန်မာနိုင်ငံ၏ အမြင့်ဆုံးတောင် ဖြစ်သည်။",
            "တောင်ထိပ်တွင် နှင်းများ ဖုံးလွှမ်းနေသည်။",
            "တောင်တက်သမားများသည် ခရီးကြမ်းကို ဖြတ်သန်းရသည်။",
            "အနီးရှိ ရွာများတွင် လူနည်းစုများ နေထိုင်ကြသည်။",
        ],
    ),
    "bo": (
        "རི་བོ་ཞིག་གི་སྐོར་བྲིས་རོགས།",
        [
            "གངས་རིན་པོ་ཆེ་ནི་བོད་ཀྱི་རི་བོ་གྲགས་ཆེན་ཞིག་ཡིན།",
            "ལོ་ལྟར་གནས་སྐོར་བ་མང་པོ་འབྱོར་གྱི་ཡོད།",
            "རི་རྩེར་གངས་དཀར་པོས་ཁེབས་ཡོད།",
            "ཉེ་འགྲམ་དུ་མཚོ་མ་ཕམ་གཡུ་མཚོ་ཡོད།",
        ],
    ),
    "ar": (
        "اكتب عن جبل.",
        [
            "يقع جبل توبقال في المغرب.",
            "وهو أعلى قمة في شمال أفريقيا.",
            "يزوره المتسلقون في الصيف.",
            "أما الشتاء فبارد جدا ومليء بالثلوج.",
        ],
    ),
    "hi": (
        "एक पहाड़ के बारे में लिखिए।",
        [
            "हिमालय भारत के उत्तर में फैला हुआ है।",
            "यहाँ कई नदियाँ जन्म लेती हैं।",
            "गर्मियों में लोग ठंडी हवा के लिए आते हैं।",
            "सर्दियों में रास्ते बर्फ से ढक जाते हैं।",
        ],
    ),
    "fa": (
        "دربارهٔ یک کوه بنویس.",
        [
            "دماوند بلندترین کوه ایران است.",
            "هر سال کوهنوردان زیادی به آن می‌روند.",
            "قلهٔ آن بیشتر سال پوشیده از برف است.",
            "در دامنه‌هایش چشمه‌های آب گرم دیده می‌شود.",
        ],
    ),
    "am": (
        "ስለ ተራራ ጻፍ።",
        [
            "ራስ ዳሽን በኢትዮጵያ ከፍተኛው ተራራ ነው።",
            "በዙሪያው ብዙ የዱር እንስሳት ይኖራሉ።",
            "ቱሪስቶች በየዓመቱ ይጎበኙታል።",
            "ሌሊቱ በጣም ቀዝቃዛ ነው።",
        ],
    ),
    "ta": (
        "ஒரு மலையைப் பற்றி எழுது.",
        [
            "ஆனைமுடி தென்னிந்தியாவின் உயரமான சிகரம்.",
            "அதைச் சுற்றி அடர்ந்த காடுகள் உள்ளன.",
            "யானைகள் அங்கே கூட்டமாக வாழ்கின்றன.",
            "மழைக்காலத்தில் பாதைகள் வழுக்கும்.",
        ],
    ),
}

CASES = [(language, joint) for language in PROSE for joint in ("", " ", "\n")]


@pytest.mark.parametrize(("language", "joint"), CASES)
def test_prose_is_an_answer_in_every_script(language: str, joint: str) -> None:
    request, sentences = PROSE[language]
    assert not degeneracy(request, joint.join(sentences))
    assert not degeneracy(request, "\u200b".join(sentences))
    assert repetition(joint.join(sentences)) < 0.05


@pytest.mark.parametrize("language", PROSE)
def test_one_sentence_is_an_answer_in_every_script(language: str) -> None:
    request, sentences = PROSE[language]
    assert not any(degeneracy(request, sentence) for sentence in sentences)


@pytest.mark.parametrize(("language", "joint"), CASES)
def test_loops_echoes_and_silence_are_seen_in_every_script(language: str, joint: str) -> None:
    request, sentences = PROSE[language]
    text = joint.join(sentences)
    assert "repeats itself" in degeneracy(request, joint.join(sentences * 3))
    assert "repeats itself" in degeneracy(request, joint.join(sentences[:1] * 6))
    assert "repeats itself" in degeneracy(request, text + joint + joint.join(sentences[-1:] * 6))
    assert "copies" in degeneracy(request, request)
    assert "copies" in degeneracy(request, f'"{request}"')
    assert degeneracy(request, joint.join([request, request]))
    assert all(degeneracy(request, nothing) for nothing in ("", " \n", "…", "*** ***", "。。。"))


def test_how_much_is_a_word() -> None:
    assert own_words("", "the quick brown fox") == (4, 4)
    assert own_words("", "泰山位于山东省中部。") == (6, 6)
    assert own_words("", "はい") == (1, 1)
    assert own_words("", "서울은 한국의 수도") == (4, 4)
    assert own_words("", "สวัสดีครับ") == (2.5, 2.5)
    assert own_words("", "naïve Übermut größer") == (3, 3)


VERSES = (
    ("I walked by the mill in the morning light", "the wheel was as slow as a dream"),
    ("I sat on the bridge when the moon was bright", "and counted the stars in the stream"),
    ("My father once fished where the willows lean", "he taught me the names of the birds"),
    ("Now he is old and the banks are green", "we sit there without any words"),
)
REFRAIN = ("Oh the river runs down to the sea,", "and it carries my song along with me.")
FORMS = {
    "refrain": "\n\n".join(f"{a}\n{REFRAIN[0]}\n{b}\n{REFRAIN[1]}" for a, b in VERSES),
    "chorus": "\n\n".join(f"{a}\n{b}\n\n{REFRAIN[0]}\n{REFRAIN[1]}" for a, b in VERSES),
    "table": "| Fruit | Red | Sweet | Sour |\n|-------|-----|-------|------|\n| Apple | yes | yes | yes |\n"
    "| Lemon | no | no | yes |\n| Cherry | yes | yes | no |\n| Lime | no | no | yes |",
    "records": '[{"name": "Ann", "age": 3, "city": "Oslo"}, {"name": "Bob", "age": 5, "city": "Rome"}, '
    '{"name": "Cem", "age": 7, "city": "Bonn"}, {"name": "Dov", "age": 9, "city": "Lima"}]',
    "small json": '{"name": "Ann", "age": 3}',
    "html": "<ul>\n<li>Apples</li>\n<li>Pears</li>\n<li>Plums</li>\n<li>Figs</li>\n<li>Dates</li>\n</ul>",
    "small code": '```python\nprint("hi")\n```',
    "code": "class A:\n    def __init__(self, a, b):\n        self.a = a\n        self.b = b",
    "numbers": ", ".join(map(str, range(1, 21))),
    "rulers": f"{'-' * 80}\nThe sea was calm and so were we.\n{'-' * 80}\nThen came the wind.\n{'=' * 80}",
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_that_are_alike_in_every_line_are_no_loops(form: str) -> None:
    assert not degeneracy("Please make one for me.", FORMS[form])


@pytest.mark.parametrize(
    "text",
    [
        "Roses are red and violets are blue.\n" * 8,
        "Roses are red.\nViolets are blue.\n" * 8,
        FORMS["table"].splitlines()[2] * 8,
        "| a | b |\n|---|---|\n" * 10,
        "\n".join(REFRAIN * 6),
        "A good start it was. Then: " + "--- " * 30,
        '[{"name": "Ann", "age": 3}' + ', {"name": "Ann", "age": 3}' * 8 + "]",
    ],
)
def test_forms_that_do_loop(text: str) -> None:
    assert "repeats itself" in degeneracy("Please make one for me.", text)


BRIEF = [
    ("What is the capital of France?", "Paris"),
    ("What is 6 times 7?", "42"),
    ("What is the capital of France? Answer in lower case.", "paris"),
    ("Is Mount Fuji in Japan?", "Yes, Mount Fuji is in Japan."),
    ("Calculate 6*7.", "42"),
    ("Name the largest planet in one word.", "Jupiter"),
    ("Which emoji means love?", "❤️"),
    ("富士山は日本にありますか。", "はい"),
    ("泰山在山东吗？", "是"),
    ("ภูเขานี้สูงที่สุดหรือไม่", "ใช่"),
    ("서울은 어느 나라에 있나요?", "한국"),
    ("ما عاصمة فرنسا؟", "باريس"),
]


@pytest.mark.parametrize(("request_text", "answer"), BRIEF)
def test_a_word_answers_a_question(request_text: str, answer: str) -> None:
    assert wants_a_word(request_text)
    assert not degeneracy(request_text, answer)
    assert "says nothing" in degeneracy(request_text, "")
    assert "says nothing" in degeneracy(request_text, "*")
    assert "copies" in degeneracy(request_text, request_text)
    assert "repeats" in degeneracy(request_text, f"{answer}! " * 40)


@pytest.mark.parametrize(
    "text",
    [
        "Write a review of a museum.",
        "Can you write a poem about socks?",
        "How do I get candle wax out of a tablecloth?",
        "Why do cats purr?",
        "Is it rude to leave early?\n\nUse exactly three bullet points.",
        "Not a single word should be in capitals. Describe the sea.",
    ],
)
def test_what_asks_for_a_text(text: str) -> None:
    assert not wants_a_word(text)
    assert "says nothing" in degeneracy(text, "*this*")


def test_a_rule_that_leaves_room_for_a_word_only() -> None:
    def asked(most: int, relation: str) -> Task:
        args = {"num_words": most, "relation": relation}
        return Task("t", user("Describe the sea."), (Check("length_constraints:number_words", args),))

    assert not task_degeneracy(asked(4, "less than"), "Vast and blue.")
    assert task_degeneracy(asked(40, "less than"), "Vast and blue.")
    assert task_degeneracy(asked(4, "at least"), "Vast and blue.")
    assert task_degeneracy(asked(4, "less than"), "")
