"""Language detection: the answers of langdetect with seed 0."""

import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks._ifeval_responses import SENTENCES
from biddable.errors import InputError
from biddable.judges.ifeval import check, language
from biddable.judges.ifeval.language import LANGUAGES, candidates, detect

CHARACTERS = [*map(chr, range(32, 127)), *"éßİțșیạ\u0301あア中가ㄅㆠกअḂ’\xa0\u2028\u200c", "\uffff"]


@pytest.fixture(scope="module")
def langdetect():
    import langdetect

    before, langdetect.DetectorFactory.seed = langdetect.DetectorFactory.seed, 0
    yield langdetect
    langdetect.DetectorFactory.seed = before


@pytest.fixture(scope="module")
def reference(langdetect):
    def detected(text):
        try:
            return langdetect.detect(text)
        except langdetect.LangDetectException:
            return None

    return detected


def texts(seed, count):
    """Sentences of one to three languages, some of them cut short, in capitals or with an address."""
    rng = random.Random(seed)
    for _ in range(count):
        groups = rng.choices(list(SENTENCES.values()), k=rng.choice((1, 1, 2, 3)))
        text = " ".join(sentence for group in groups for sentence in rng.choices(group, k=rng.randint(1, 4)))
        text = text[: rng.randint(1, 30)] if rng.random() < 0.4 else text
        text = rng.choice((str, str, str.upper, str.lower))(text)
        yield text + rng.choice(("", "", " https://example.org/a?b=c x@example.org"))


def test_same_answers(reference):
    for text in texts(0, 150):
        assert detect(text) == reference(text), text


def test_same_answers_on_anything(reference):
    @given(st.lists(st.sampled_from(CHARACTERS), max_size=25).map("".join))
    @settings(max_examples=80)
    def same(text):
        assert detect(text) == reference(text)

    same()


def test_same_answer_where_no_language_ever_gets_certain(reference, langdetect):
    text = "(1~8DcあqE"  # trials of a thousand draws, which end at the thousandth
    assert detect(text) == reference(text)
    assert candidates(text) == {found.lang for found in langdetect.detect_langs(text)}


def test_same_candidates(langdetect):
    for text in texts(1, 60):
        try:
            expected = {found.lang for found in langdetect.detect_langs(text)}
        except langdetect.LangDetectException:
            expected = set()
        assert candidates(text) == expected, text


def test_same_probabilities(langdetect):
    text = "Guten Morgen, bonjour, good morning"
    profiles = language._profiles().languages
    shares = language._shares(language._known_grams(language._normalised(text)), until_decided=False)
    mine = {name: share for name, share in zip(profiles, shares, strict=True) if share > 0.1}
    assert mine == pytest.approx(
        {found.lang: found.prob for found in langdetect.detect_langs(text)}, abs=1e-12
    )


@pytest.mark.parametrize("code", sorted(set(SENTENCES) - {"ja"}))
def test_knows_its_languages(code):
    assert detect(" ".join(SENTENCES[code])) == code
    assert code in LANGUAGES


@pytest.mark.parametrize("text", ["", "   ", "12345", "?!…", "https://example.org"])
def test_nothing_to_go_by(text):
    assert detect(text) is None
    assert candidates(text) == set()


def test_long_texts_are_cut_at_the_same_place(reference):
    text = " ".join(SENTENCES["en"]) * 6 + " ".join(SENTENCES["fi"]) * 60
    assert detect(text) == reference(text)


def test_threads_that_start_together_all_get_an_answer():
    language._profiles.cache_clear()
    found = []
    threads = [threading.Thread(target=lambda: found.append(detect("the cat is here"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [detect("the cat is here")] * 4


SIMPLIFIED = "泰山位于山东省中部。它的主峰海拔一千五百多米。每年都有很多游客来这里看日出。"
TRADITIONAL = "泰山位於山東省中部。它的主峰海拔一千五百多米。每年都有很多遊客來這裡看日出。"


@pytest.mark.parametrize("fixed", [False, True])
def test_chinese_of_either_kind_and_of_one(fixed):
    def follows(code, text):
        return check("language:response_language", {"language": code}, text, fixed=fixed)

    assert follows("zh", SIMPLIFIED)
    assert follows("zh", TRADITIONAL)
    assert follows("zh-cn", SIMPLIFIED)
    assert follows("zh-tw", TRADITIONAL)
    assert not follows("zh-tw", SIMPLIFIED)
    assert not follows("zh", " ".join(SENTENCES["fi"]))
    assert follows("nl", "Dit is een mooie berg en wij gaan er morgen met de hele familie naartoe.")


def test_every_language_of_langdetect_can_be_asked_for():
    assert set(LANGUAGES) == {*language._profiles().languages, "zh"}
    with pytest.raises(InputError, match="language is 'xx', expected an ISO 639-1 code among ar"):
        check("language:response_language", {"language": "xx"}, "x")
