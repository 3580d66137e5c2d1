"""Other wordings of a noun phrase, for when the first one finds nothing."""

from sam3i_agent.agent.planner.plan import NounPhrase

SYNONYMS: dict[str, str] = {
    "disc": "circle", "disk": "circle", "ball": "circle", "dot": "circle",
    "box": "square", "block": "square",
    "donut": "ring", "doughnut": "ring", "hoop": "ring",
    "moon": "crescent", "plus": "cross", "rhombus": "diamond",
    "automobile": "car", "kid": "child", "couch": "sofa", "bike": "bicycle", "picture": "image",
}  # fmt: skip


def wordings(phrase: NounPhrase) -> tuple[str, ...]:
    """Return the texts to try for `phrase`, the closest first.

    A wording may only leave out what can be checked afterwards: the colour, which the inspection
    measures on the pixels. Texture and other words always stay.
    """
    texts = [phrase.text]
    if phrase.head in SYNONYMS:
        texts.append(_replace_word(phrase.text, phrase.head, SYNONYMS[phrase.head]))
    if phrase.colour is not None:
        texts += [
            " ".join(word for word in text.split() if word != phrase.colour) for text in list(texts)
        ]
    return tuple(dict.fromkeys(texts))


def _replace_word(text: str, old: str, new: str) -> str:
    return " ".join(new if word == old else word for word in text.split())
