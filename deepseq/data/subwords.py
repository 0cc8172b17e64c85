"""Words cut into frequent pieces: byte-pair encoding learned from a text (Sennrich et al. 2016,
arXiv 1508.07909).

It begins with the 256 bytes and joins, again and again, the pair that is most frequent within
words. Every text can be written in these pieces, so none is unknown, and what is read back is the
same text, byte by byte. Pieces are numbered from ``CONTENT``: 0, 1 and 2 pad, begin and end, as in
``deepseq.data.transduction``, and nothing in a text is mistaken for them."""

from collections.abc import Iterable, Sequence

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from deepseq.data.transduction import CONTENT

__all__ = ["LEAST", "Subwords"]

LEAST = CONTENT + 256


class Subwords:
    """A vocabulary of pieces."""

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = tokenizer
        # of the vocabulary, the three marks counted
        self.size = CONTENT + tokenizer.get_vocab_size()

    @classmethod
    def learn(cls, texts: Iterable[str], size: int) -> "Subwords":
        """The pieces of a text: the same for the same lines, on one thread or many.

        Args:
          texts: lines.
          size: of the vocabulary, from 259, the bytes and marks alone. Where the text has fewer
            pairs to join, it is smaller.

        Raises:
          ValueError: a smaller size.
        """
        if size < LEAST:
            raise ValueError(
                f"subwords: a vocabulary of {size}, but the bytes and marks alone are {LEAST}"
            )
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        trainer = trainers.BpeTrainer(
            vocab_size=size - CONTENT, initial_alphabet=alphabet, show_progress=False
        )
        tokenizer.train_from_iterator((" " + text for text in texts), trainer)
        return cls(tokenizer)

    @classmethod
    def read(cls, text: str) -> "Subwords":
        """The pieces that ``written`` wrote; ValueError for another text."""
        try:
            return cls(Tokenizer.from_str(text))
        except Exception as error:  # tokenizers raises nothing more special
            raise ValueError(f"no subwords: {error}") from error

    def written(self) -> str:
        """All of it as JSON."""
        return self._tokenizer.to_str()

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The pieces of each text, (n,) int32; its first word is cut as within a sentence, after a
        space.
        """
        found = self._tokenizer.encode_batch([" " + text for text in texts])
        return [np.array(one.ids, np.int32) + CONTENT for one in found]

    def decode(self, pieces: Sequence[int]) -> str:
        """The text of pieces; marks are left out, and bytes that are no UTF-8 become U+FFFD."""
        return self._text(pieces).removeprefix(" ")

    def shown(self, pieces: Sequence[int]) -> list[str]:
        """Each piece by itself, for people: one that continues a word begins with a middle dot."""
        texts = [self._text([piece]) for piece in pieces]
        return [text[1:] if text.startswith(" ") else "\N{MIDDLE DOT}" + text for text in texts]

    def _text(self, pieces: Sequence[int]) -> str:
        return self._tokenizer.decode(
            [int(piece) - CONTENT for piece in pieces if piece >= CONTENT]
        )
