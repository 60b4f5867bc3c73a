"""More tasks with written instructions: sums, spelling, word forms, knowledge, translation, sentences.

With those of ``instructed`` they are some forty of twenty categories, enough to correlate scores over tasks.
``CODE`` is one that nobody can have learned: which sign belongs to a word was drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial

import numpy as np

from biddable.tasks.compose.instructed import WORDS, Kind, Rows, composed, composed_tasks, lists, table
from biddable.tasks.superni import Instructed

SIGNS = ("vok", "tam", "rel", "dus")

_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_PLURALS = (
    "cat cats,dog dogs,box boxes,city cities,baby babies,church churches,bus buses,man men,woman women,"
    "child children,foot feet,tooth teeth,mouse mice,leaf leaves,knife knives,wolf wolves,story stories,"
    "key keys,boy boys,watch watches,glass glasses,tree trees,house houses,car cars,book books,lady ladies,"
    "party parties,country countries,wife wives,half halves,potato potatoes,tomato tomatoes,hero heroes,"
    "radio radios,piano pianos,fox foxes,dish dishes,brush brushes,bench benches,table tables,chair chairs,"
    "window windows,river rivers,goose geese,ox oxen,shelf shelves,thief thieves,penny pennies,fly flies,"
    "berry berries,day days,toy toys,bridge bridges,nurse nurses,class classes,army armies"
)
_PAST = (
    "go went,see saw,eat ate,take took,give gave,come came,run ran,write wrote,drive drove,sing sang,"
    "drink drank,swim swam,begin began,know knew,grow grew,fly flew,draw drew,speak spoke,break broke,"
    "choose chose,wake woke,buy bought,bring brought,think thought,teach taught,catch caught,feel felt,"
    "keep kept,sleep slept,leave left,lose lost,send sent,build built,spend spent,make made,pay paid,"
    "find found,hold held,sit sat,stand stood,win won,walk walked,play played,stop stopped,carry carried,"
    "love loved,plan planned,try tried,jump jumped,open opened,study studied,cook cooked,help helped"
)
_COMPARATIVES = (
    "big bigger,small smaller,tall taller,short shorter,fast faster,slow slower,old older,young younger,"
    "hot hotter,cold colder,happy happier,easy easier,busy busier,good better,bad worse,far farther,"
    "large larger,nice nicer,wide wider,safe safer,thin thinner,fat fatter,wet wetter,dry drier,"
    "early earlier,late later,strong stronger,weak weaker,rich richer,poor poorer,long longer,high higher,"
    "low lower,deep deeper,dark darker,light lighter,clean cleaner,dirty dirtier,funny funnier,loud louder,"
    "quiet quieter,warm warmer,cool cooler,kind kinder,brave braver,simple simpler,pretty prettier,"
    "lucky luckier,hungry hungrier,smart smarter,sad sadder"
)
_ING = (
    "run running,swim swimming,make making,write writing,sit sitting,take taking,go going,play playing,"
    "drive driving,stop stopping,eat eating,sing singing,come coming,plan planning,dance dancing,"
    "cook cooking,cut cutting,ride riding,smile smiling,get getting,put putting,win winning,begin beginning,"
    "walk walking,talk talking,sleep sleeping,close closing,move moving,shop shopping,jump jumping,"
    "give giving,have having,use using,study studying,carry carrying,watch watching,dig digging,"
    "clean cleaning,bake baking,skip skipping,hug hugging,build building,teach teaching,leave leaving,"
    "lose losing,grow growing,fly flying,throw throwing,paint painting,shine shining"
)
_CONTINENTS = {
    "Europe": "France Spain Italy Germany Greece Portugal Austria Norway Sweden Finland Poland Hungary "
    "Ireland Belgium Denmark",
    "Asia": "Japan China India Thailand Vietnam Iran Iraq Nepal Mongolia Indonesia Malaysia Pakistan Syria",
    "Africa": "Egypt Kenya Nigeria Ghana Morocco Ethiopia Uganda Tanzania Algeria Angola Zambia Senegal Mali",
    "America": "Brazil Peru Chile Argentina Canada Mexico Cuba Colombia Bolivia Ecuador Uruguay Paraguay "
    "Venezuela",
}
_LANGUAGES = (
    "France French,Spain Spanish,Italy Italian,Germany German,Japan Japanese,China Chinese,Russia Russian,"
    "Egypt Arabic,Greece Greek,Portugal Portuguese,Austria German,Norway Norwegian,Sweden Swedish,"
    "Finland Finnish,Poland Polish,Hungary Hungarian,Cuba Spanish,Peru Spanish,Chile Spanish,"
    "Brazil Portuguese,Thailand Thai,Denmark Danish,Vietnam Vietnamese,Argentina Spanish,England English,"
    "Turkey Turkish,Syria Arabic,Mexico Spanish,Romania Romanian,Bulgaria Bulgarian,Iceland Icelandic,"
    "Ukraine Ukrainian,Morocco Arabic,Australia English,Jordan Arabic,Ecuador Spanish,Angola Portuguese"
)
_SPANISH = (
    "house casa,dog perro,cat gato,water agua,bread pan,milk leche,book libro,table mesa,sun sol,moon luna,"
    "day día,night noche,man hombre,woman mujer,child niño,friend amigo,red rojo,blue azul,green verde,"
    "white blanco,black negro,big grande,small pequeño,good bueno,bad malo,hand mano,eye ojo,fish pez,"
    "bird pájaro,tree árbol,flower flor,city ciudad,street calle,door puerta,window ventana,one uno,two dos,"
    "three tres,four cuatro,five cinco,brother hermano,sister hermana,mother madre,father padre,king rey,"
    "fire fuego,wine vino,school escuela,horse caballo,apple manzana"
)
_FRENCH = (
    "house maison,dog chien,cat chat,water eau,bread pain,milk lait,book livre,table table,sun soleil,"
    "moon lune,day jour,night nuit,man homme,woman femme,child enfant,friend ami,red rouge,blue bleu,"
    "green vert,white blanc,black noir,big grand,small petit,good bon,bad mauvais,hand main,eye œil,"
    "fish poisson,bird oiseau,tree arbre,flower fleur,city ville,street rue,door porte,window fenêtre,one un,"
    "two deux,three trois,four quatre,five cinq,brother frère,sister sœur,mother mère,father père,king roi,"
    "fire feu,wine vin,school école,horse cheval,apple pomme"
)
_COLOURS = {
    "yellow": "banana lemon sun canary daffodil corn butter sunflower cheese",
    "red": "tomato strawberry blood cherry ruby ketchup brick",
    "green": "grass frog cucumber lettuce spinach lime leaf broccoli pea emerald",
    "white": "snow milk chalk swan flour cloud salt rice ivory",
    "black": "coal raven tar tyre panther ink night",
    "orange": "carrot pumpkin tangerine apricot",
    "brown": "chocolate coffee soil walnut chestnut acorn",
    "blue": "sky sea sapphire blueberry jeans",
    "pink": "flamingo pig bubblegum salmon",
}
_NAMES = "Anna,Peter,Maria,David,Laura,Simon,Helen,Oscar,Julia,Thomas,Nora,Victor"
_THINGS = "the bus,the letter,a new coat,the old bridge,the dinner,the garden,a long book,the keys"


def skill_tasks(rows: int, seed: int = 0) -> list[Instructed]:
    """The tasks of ``instructed`` and those of this file, each with ``rows`` instances at most."""
    return [*composed_tasks(rows, seed), *composed(_TASKS, rows, seed + 1)]


def code_task(rows: int, seed: int = 0) -> Instructed:
    """The task whose rule was drawn: no condition can do better than chance, one of four."""
    return composed((CODE,), rows, seed)[0]


def _pairs(write: Callable[[int, int], tuple[str, str]], most: int) -> Callable[[np.random.Generator], Rows]:
    """Rows of two different numbers from 1 to ``most``."""

    def rows(rng: np.random.Generator) -> Rows:
        while True:
            first, second = (int(each) + 1 for each in rng.choice(most, 2, replace=False))
            yield write(first, second)

    return rows


def _numbers(write: Callable[[int], tuple[str, str]], most: int) -> Callable[[np.random.Generator], Rows]:
    """Rows of the numbers from 2 to ``most`` in an order that is drawn."""

    def rows(rng: np.random.Generator) -> Rows:
        yield from (write(int(number) + 2) for number in rng.permutation(most - 1))

    return rows


def _words(answer: Callable[[str], str]) -> Callable[[np.random.Generator], Rows]:
    def rows(rng: np.random.Generator) -> Rows:
        yield from ((WORDS[i], answer(WORDS[i])) for i in rng.permutation(len(WORDS)))

    return rows


def _members(groups: dict[str, str]) -> Callable[[np.random.Generator], Rows]:
    return table(",".join(f"{word} {name}" for name, words in groups.items() for word in words.split()))


def _sentence(kind: str, rng: np.random.Generator) -> Rows:
    """Sentences of two forms, either as often."""
    while True:
        who, what = str(rng.choice(_NAMES.split(","))), str(rng.choice(_THINGS.split(",")))
        past = bool(rng.integers(2))
        if kind == "tense":
            verb = str(rng.choice(["forget", "look for", "need", "describe"]))
            did = {"forget": "forgot", "look for": "looked for", "need": "needed", "describe": "described"}
            yield (f"{who} {did[verb]} {what}.", "past") if past else (f"{who} will {verb} {what}.", "future")
        else:
            verb = str(rng.choice(["likes", "sees", "wants", "knows"]))
            stem = verb.removesuffix("s")
            asks, says = f"Does {who} {stem} {what}", f"{who} {verb} {what}"
            yield (asks, "question") if past else (says, "statement")


def _in_words(number: int) -> str:
    small, (tens, ones) = _NUMBERS.split(), divmod(number, 10)
    if number < len(small):
        return small[number]
    return _TENS.split()[tens - 2] + (f"-{small[ones]}" if ones else "")


def _sign(word: str) -> str:
    """A sign that nothing but a digest decides."""
    return SIGNS[hashlib.sha256(word.encode()).digest()[0] % len(SIGNS)]


CODE = Kind("made_up_sign", "made_up", f"Give the sign of this word: {', '.join(SIGNS)}.", _words(_sign))

_TASKS = (
    Kind("sum", "arithmetic", "Add both numbers up.", _pairs(lambda a, b: (f"{a} + {b}", str(a + b)), 20)),
    Kind(
        "difference",
        "arithmetic",
        "Subtract as written and give the result.",
        _pairs(lambda a, b: (f"{max(a, b)} - {min(a, b)}", str(abs(a - b))), 20),
    ),
    Kind("double", "arithmetic", "Twice this is how much?", _numbers(lambda n: (str(n), str(2 * n)), 99)),
    Kind(
        "larger",
        "number_comparison",
        "Of two numbers repeat the larger.",
        _pairs(lambda a, b: (f"{a}, {b}", str(max(a, b))), 99),
    ),
    Kind(
        "parity",
        "number_comparison",
        "Can it be halved without a rest? Then say even, otherwise odd.",
        _numbers(lambda n: (str(n), "odd" if n % 2 else "even"), 199),
    ),
    Kind(
        "next_number",
        "counting",
        "Count on by one.",
        _numbers(lambda n: (str(n), str(n + 1)), 199),
    ),
    Kind(
        "previous_number",
        "counting",
        "Which number comes right before?",
        _numbers(lambda n: (str(n), str(n - 1)), 199),
    ),
    Kind("first_letter", "spelling", "With which letter does it begin?", _words(lambda word: word[0])),
    Kind("last_letter", "spelling", "Name the final letter.", _words(lambda word: word[-1])),
    Kind("capital_letters", "spelling", "Repeat it all in upper case.", _words(str.upper)),
    Kind("letter_count", "spelling", "How many letters has it?", _words(lambda word: str(len(word)))),
    Kind("plural", "inflection", "Give the plural of the noun.", table(_PLURALS)),
    Kind("past_tense", "inflection", "Put the verb into the past tense.", table(_PAST)),
    Kind("comparative", "inflection", "Form the comparative, as for two things.", table(_COMPARATIVES)),
    Kind("ing_form", "inflection", "Write that verb with -ing.", table(_ING)),
    Kind(
        "continent",
        "geography",
        "On which continent does it lie: Europe, Asia, Africa or America?",
        _members(_CONTINENTS),
    ),
    Kind("language", "geography", "What do most people speak there?", table(_LANGUAGES)),
    Kind("spanish", "translation", "Translate into Spanish.", table(_SPANISH)),
    Kind("french", "translation", "Say it in French.", table(_FRENCH)),
    Kind("colour", "attribute", "Which colour is it usually?", _members(_COLOURS)),
    Kind(
        "digits_to_words",
        "number_words",
        "Spell the number out.",
        _numbers(lambda n: (str(n), _in_words(n)), 99),
    ),
    Kind(
        "words_to_digits",
        "number_words",
        "Write these words as digits.",
        _numbers(lambda n: (_in_words(n), str(n)), 99),
    ),
    Kind(
        "question_or_statement",
        "sentence_form",
        "The mark at the end is lost. Was it a question or a statement?",
        partial(_sentence, "form"),
    ),
    Kind(
        "past_or_future",
        "sentence_form",
        "Did this happen, or is it still to come? Answer past or future.",
        partial(_sentence, "tense"),
    ),
    Kind("item_count", "list_counting", "Tell the number of items.", lists(lambda words: str(len(words)))),
)
