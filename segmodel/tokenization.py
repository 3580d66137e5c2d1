"""Text to token ids as the models expect them: CLIP's byte-pair encoding, padded with 0.

The one vocabulary file serves every model: a model with a smaller vocabulary uses its first merges,
so any text stays encodable. Cleaning (ftfy, HTML unescape, white space, lower case) follows the
official tokenizer; CLIP's fast tokenizer in transformers skips it and differs on curly quotes,
`&amp;`, full-width letters and ligatures.
"""

import gzip
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

import ftfy
from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as PreTokenizers

if TYPE_CHECKING:
    import torch

CONTEXT_LENGTH = 32
"""Ids per text of SAM 3, start and end markers included; other models have another number."""
PAD_ID = 0
"""The official padding id; another one shifts the logits of the simple and complex levels."""

_START = "<|startoftext|>"
_END = "<|endoftext|>"
_BYTES = 256
_SPECIALS = 2
_WORD_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
CLIP_VOCABULARY_SIZE = 49_408
_SMALLEST_VOCABULARY = 2 * _BYTES + _SPECIALS


@dataclass(frozen=True)
class TokenBatch:
    """Token ids of N texts."""

    input_ids: "torch.Tensor"
    """(N, L) int64, padded with `PAD_ID`."""
    attention_mask: "torch.Tensor"
    """(N, L) int64, 1 = keep, 0 = padding."""
    lengths: tuple[int, ...]
    """Ids that each text needs, markers included; above L its end was cut."""


def clean_text(text: str) -> str:
    """Return `text` as the official tokenizer sees it: repaired, unescaped, lower-cased."""
    repaired = html.unescape(html.unescape(ftfy.fix_text(text)))
    return re.sub(r"\s+", " ", repaired).strip().lower()


class InstructionTokenizer:
    """CLIP's tokenizer cut to a vocabulary size.

    Args:
        vocabulary_size: 514 to 49408; the model's `text_config.vocab_size`.
        context_length: L, the ids that the model reads of a text.

    Raises:
        ValueError: the size is out of range.
    """

    def __init__(
        self,
        vocabulary_size: int = CLIP_VOCABULARY_SIZE,
        context_length: int = CONTEXT_LENGTH,
    ) -> None:
        if not _SMALLEST_VOCABULARY <= vocabulary_size <= CLIP_VOCABULARY_SIZE:
            raise ValueError(
                f"vocabulary_size must be {_SMALLEST_VOCABULARY}..{CLIP_VOCABULARY_SIZE}, "
                f"got {vocabulary_size}"
            )
        self.vocabulary_size = vocabulary_size
        self.context_length = context_length
        self._bpe = _build_bpe(vocabulary_size)
        self._start_id = vocabulary_size - 2
        self._end_id = vocabulary_size - 1

    def count_tokens(self, text: str) -> int:
        """Return how many ids `text` needs, start and end markers included."""
        return len(self._bpe.encode(clean_text(text)).ids) + _SPECIALS

    def __call__(self, texts: Sequence[str]) -> TokenBatch:
        """Encode `texts`; one that is too long is cut and ends with the end marker.

        The caller compares `lengths` with `context_length` and tells its user what was cut.
        """
        import torch

        input_ids = torch.full((len(texts), self.context_length), PAD_ID, dtype=torch.int64)
        attention_mask = torch.zeros_like(input_ids)
        lengths: list[int] = []
        for row, text in enumerate(texts):
            ids = [self._start_id, *self._bpe.encode(clean_text(text)).ids, self._end_id]
            lengths.append(len(ids))
            if len(ids) > self.context_length:
                ids = [*ids[: self.context_length - 1], self._end_id]
            input_ids[row, : len(ids)] = torch.tensor(ids)
            attention_mask[row, : len(ids)] = 1
        return TokenBatch(input_ids, attention_mask, tuple(lengths))


@lru_cache(maxsize=2)
def _build_bpe(vocabulary_size: int) -> Tokenizer:
    merges = _read_merges()[: vocabulary_size - _SMALLEST_VOCABULARY]
    # CLIP orders its 256 byte symbols: printable ones first, then the remapped rest.
    symbols = sorted(ByteLevel.alphabet(), key=lambda symbol: (ord(symbol) >= _BYTES, ord(symbol)))
    words = [*symbols, *(symbol + "</w>" for symbol in symbols)]
    words += [left + right for left, right in merges]
    vocabulary = {word: index for index, word in enumerate([*words, _START, _END])}
    bpe = Tokenizer(BPE(vocab=vocabulary, merges=merges, end_of_word_suffix="</w>"))
    bpe.pre_tokenizer = PreTokenizers(
        [
            Split(Regex(_WORD_PATTERN), behavior="removed", invert=True),
            ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return bpe


@lru_cache(maxsize=1)
def _read_merges() -> list[tuple[str, str]]:
    packed = files("sam3i_agent.segmodel").joinpath("vocabulary/clip_bpe_merges.txt.gz")
    lines = gzip.decompress(packed.read_bytes()).decode("utf-8").split("\n")
    count = CLIP_VOCABULARY_SIZE - _SMALLEST_VOCABULARY
    merges: list[tuple[str, str]] = []
    for line in lines[1 : 1 + count]:
        left, right = line.split()
        merges.append((left, right))
    return merges
