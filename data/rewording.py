"""Other ways to say the same: synonyms, spellings, clumsy and non-native English, typing errors.

Texts of everyday scenes go through here, so that a model learns more than one wording of a thing;
those of plain shapes stay as they are drawn. Also: words that name nothing in any scene.
"""

import re
from collections.abc import Callable

import numpy as np

from sam3i_agent.core.levels import InstructionLevel
from sam3i_agent.data.kinds import SceneStyle
from sam3i_agent.data.scenes import Scene

_SYNONYM_SHARE = 0.25
"""Of the words that have synonyms."""
_CLUMSY_SHARE = 0.25
_POLITE_SHARE = 0.2
_TYPING_ERROR_SHARE = 0.08

SYNONYMS: dict[str, tuple[str, ...]] = {
    "circle": ("disc", "disk", "dot", "ball"), "square": ("box", "block"),
    "ring": ("donut", "doughnut", "hoop"), "crescent": ("moon",), "cross": ("plus",),
    "diamond": ("rhombus",), "heart": ("love heart",), "arrow": ("pointer",),
    "apple": ("fruit",), "bell": ("handbell",), "bird": ("birdie",),
    "boat": ("sailboat", "sailing boat", "ship", "yacht"), "boot": ("shoe", "wellington"),
    "bottle": ("flask",), "car": ("automobile", "motor car", "auto"),
    "cat": ("kitten", "kitty", "pussycat"), "chair": ("seat", "stool"),
    "cup": ("mug", "coffee cup", "teacup"), "flower": ("blossom", "bloom"),
    "hammer": ("mallet",), "hat": ("cap", "bowler"), "house": ("home", "cottage", "building"),
    "key": ("door key",), "lamp": ("table lamp", "desk lamp"), "mushroom": ("toadstool", "fungus"),
    "shirt": ("t-shirt", "tee shirt", "jersey"), "spoon": ("teaspoon", "ladle"),
    "tree": ("oak", "shade tree"), "umbrella": ("parasol", "brolly"),
    "purple": ("violet",), "striped": ("stripy", "stripey"),
    "dotted": ("spotted", "spotty", "polka-dot"), "plain": ("unpatterned",),
    "thing": ("item", "object"), "largest": ("biggest", "greatest"), "smallest": ("tiniest",),
    "larger": ("bigger",), "leftmost": ("left-most", "most left"),
    "rightmost": ("right-most", "most right"), "topmost": ("highest", "uppermost"),
    "lowest": ("bottommost", "most low"), "nearest": ("closest",), "farthest": ("furthest",),
    "below": ("beneath", "underneath"), "above": ("over", "higher than"),
}  # fmt: skip
"""Word to what else it is called; none of these means another thing that scenes show."""

_IRREGULAR = {"fungus": "fungi"}

FOREIGN_NOUNS = (
    "aeroplane", "ant", "backpack", "balloon", "barn", "basket", "bear", "bed", "bee", "bench",
    "bicycle", "blanket", "bread", "bridge", "broom", "bucket", "bus", "butterfly", "cake",
    "calculator", "camel", "camera", "candle", "carrot", "castle", "cheese", "clock", "coat",
    "coin", "comb", "computer", "cow", "crab", "crown", "cupboard", "deer", "desk", "dinosaur",
    "dog", "doll", "door", "dragon", "dress", "drum", "duck", "eagle", "elephant", "envelope",
    "eye", "fence", "fire engine", "flag", "fork", "fox", "fridge", "frog", "ghost", "giraffe",
    "glove", "goat", "grape", "guitar", "hand", "helicopter", "hippo", "horse", "jacket", "knife",
    "ladder", "lemon", "lion", "lizard", "lorry", "man", "map", "mirror", "monkey", "mountain",
    "mouse", "needle", "nest", "newspaper", "nose", "onion", "owl", "paintbrush", "pan", "parrot",
    "pear", "pencil", "penguin", "person", "phone", "piano", "pig", "pillow", "pizza", "plate",
    "potato", "rabbit", "radio", "robot", "rocket", "rope", "sandwich", "saw", "scarf", "sheep",
    "skirt", "snail", "snake", "sock", "sofa", "spider", "suitcase", "sword", "table", "telephone",
    "tent", "tiger", "toothbrush", "towel", "tractor", "train", "trousers", "truck", "trumpet",
    "turtle", "vase", "violin", "watch", "whale", "wheelbarrow", "window", "wolf", "woman", "zebra",
)  # fmt: skip
"""Things that no scene shows, named in training where nothing is to be found."""

UNSEEN_FOREIGN_NOUNS = (
    "accordion", "anchor", "armchair", "avocado", "axe", "beetle", "binoculars", "bow tie",
    "broccoli", "cactus", "canoe", "cassette", "cello", "chess board", "chimney", "compass",
    "crocodile", "dolphin", "donkey", "drill", "fan", "feather", "flute", "garlic", "glasses",
    "globe", "hamster", "harp", "headphones", "hedgehog", "igloo", "jellyfish", "kangaroo",
    "kettle", "keyboard", "lantern", "laptop", "lighthouse", "lipstick", "lobster", "microscope",
    "motorbike", "necklace", "octopus", "ostrich", "panda", "peacock", "pineapple", "pumpkin",
    "raccoon", "rhinoceros", "scissors", "shark", "skateboard", "squirrel", "stapler", "submarine",
    "swan", "tambourine", "teapot", "telescope", "thermometer", "tomato", "tricycle", "typewriter",
    "walrus", "watermelon", "windmill", "wrench", "xylophone",
)  # fmt: skip
"""The same for testing: no training text has one."""


def reword(rng: np.random.Generator, scene: Scene, text: str, level: InstructionLevel) -> str:
    """Return `text`, or for an everyday scene perhaps another wording that means the same."""
    if scene.style is SceneStyle.SHAPES:
        return text
    text = _use_synonyms(rng, text)
    if rng.random() < _CLUMSY_SHARE:
        makers = _CLUMSY[level]
        text = makers[int(rng.integers(len(makers)))](rng, text)
    if rng.random() < _POLITE_SHARE:
        text = _ask_politely(rng, text, level)
    if rng.random() < _TYPING_ERROR_SHARE:
        text = _mistype(rng, text)
    return text


def _use_synonyms(rng: np.random.Generator, text: str) -> str:
    return " ".join(_synonym(rng, word) for word in text.split())


def _synonym(rng: np.random.Generator, word: str) -> str:
    singular, ending = word, ""
    for suffix in ("es", "s"):
        if word not in SYNONYMS and word.removesuffix(suffix) in SYNONYMS:
            singular, ending = word.removesuffix(suffix), "s"
            break
    others = SYNONYMS.get(singular)
    if others is None or rng.random() >= _SYNONYM_SHARE:
        return word
    other = str(rng.choice(others))
    if not ending:
        return other
    return _IRREGULAR.get(other) or other + ("es" if other[-1] in "sx" else "s")


_COLOURS = "red|orange|yellow|green|blue|purple|violet|pink|white|black"


def _name_the_colour(rng: np.random.Generator, text: str) -> str:
    """Say "coloured", in British or American spelling."""
    word = str(rng.choice(["coloured", "colored"]))
    return re.sub(rf"\b({_COLOURS})\b(?! ones?$)", rf"\1 {word}", text, count=1)


def _colour_last(rng: np.random.Generator, text: str) -> str:
    """Put a phrase's colour behind its noun, as many languages do."""
    colour = str(rng.choice(["colour", "color"]))
    form = str(rng.choice([r"\2 \1", r"\2 that is \1", r"\2 which is \1", rf"\2 of \1 {colour}"]))
    return re.sub(rf"^({_COLOURS}) ([a-z -]+)$", form, text)


def _with_article(rng: np.random.Generator, text: str) -> str:
    return f"{rng.choice(['a', 'the', 'any', 'all'])} {text}"


def _without_articles(rng: np.random.Generator, text: str) -> str:
    return re.sub(r"\b(?:the|a|an) ", "", text)


_WORD_FOR_WORD: tuple[tuple[str, str], ...] = (
    ("left of", "at left from"),
    ("right of", "at right from"),
    ("on the left side", "in the left"),
    ("on the right side", "in the right"),
    ("nearest to", "most near to"),
    ("closest to", "most close to"),
    ("farthest from", "most far from"),
    ("that is", "which it is"),
    ("that are", "which they are"),
    ("largest", "most big"),
    ("biggest", "most big"),
    ("smallest", "most small"),
    ("except", "but not"),
    ("something that", "some thing which"),
    ("anything that", "any thing which"),
    ("whatever", "what ever"),
    ("everything", "all things"),
    ("the one that", "that one which"),
)


def _word_for_word(rng: np.random.Generator, text: str) -> str:
    """Say it as someone does who translates word by word."""
    known = [pair for pair in _WORD_FOR_WORD if pair[0] in text]
    if not known:
        return _without_articles(rng, text)
    said, instead = known[int(rng.integers(len(known)))]
    return text.replace(said, instead, 1)


def _long_winded(rng: np.random.Generator, text: str) -> str:
    forms = (
        "{}, you know",
        "{}, if there is one",
        "well, {}",
        "hmm, {} I think",
        "in this picture, {}",
        "{} and nothing else",
    )
    return str(rng.choice(forms)).format(text)


_CLUMSY: dict[
    InstructionLevel, tuple[Callable[[np.random.Generator, str], str], ...]
] = {
    InstructionLevel.CONCEPT: (_with_article, _colour_last, _name_the_colour),
    InstructionLevel.SIMPLE: (
        _without_articles, _word_for_word, _word_for_word, _long_winded, _name_the_colour,
    ),
    InstructionLevel.COMPLEX: (_without_articles, _word_for_word, _long_winded),
}  # fmt: skip

_REQUESTS = ("please find ", "show me ", "can you mark ", "I want ", "select ", "I am looking for ")


def _ask_politely(rng: np.random.Generator, text: str, level: InstructionLevel) -> str:
    if level is InstructionLevel.CONCEPT or text.endswith("?") or text.startswith("I "):
        return f"{text} please"
    return f"{rng.choice(_REQUESTS)}{text}"


def _mistype(rng: np.random.Generator, text: str) -> str:
    """Swap, drop or double a letter within one of the longer words."""
    words = text.split()
    long = [i for i, word in enumerate(words) if len(word) > 3 and word.isalpha()]
    if not long:
        return text
    place = long[int(rng.integers(len(long)))]
    word = words[place]
    at = int(rng.integers(1, len(word) - 1))
    match int(rng.integers(3)):
        case 0:
            word = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        case 1:
            word = word[:at] + word[at + 1 :]
        case _:
            word = word[:at] + word[at] + word[at:]
    words[place] = word
    return " ".join(words)
