"""Text as a task: predict the next character."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from actzoo import NEXT_TOKEN, DataError, Dataset, Examples, Metric, Objective, Task, hookimpl

CONTEXT = 128
"""Characters of an example."""
TEST = 0.1
"""The last tenth of a text is for the test."""
UNKNOWN = 0
"""The token of every character that the training text does not hold."""
BITS = Metric(name="bits_per_character", unit="bits")


def _characters() -> Objective:
    """Return NEXT_TOKEN, whose tokens are characters here."""
    compute = NEXT_TOKEN.summary
    return replace(
        NEXT_TOKEN,
        unit="nats per character",
        summary=lambda measured: {BITS.name: compute(measured)["bits_per_token"]},
        metrics=(BITS,),
    )


CHARACTERS = _characters()


def text_task(name: str, text: str, context: int, notes: tuple[str, ...] = ()) -> Task:
    """Return the task to predict each character of a text from those before it.

    The text is divided by position: its last tenth is for the test. The vocabulary is that of the
    other part, and one token for all other characters. An example is a piece of `context`
    characters; pieces do not overlap.

    Raises:
        DataError: There is not enough text for two pieces of each part.
    """
    if context < 1:
        raise DataError(f"{name}: context={context}; expected 1 character or more")
    cut = round(len(text) * (1 - TEST))
    parts = (text[:cut], text[cut:])
    if len(parts[1]) < 2 * context + 1:
        raise DataError(
            f"{name} has {len(text):,} characters; expected {20 * context + 10:,} or more, so that "
            f"its last tenth holds two pieces of {context}, or a smaller context"
        )
    vocabulary = sorted(set(parts[0]))
    token = {character: n for n, character in enumerate(vocabulary, start=UNKNOWN + 1)}
    train, test = (torch.tensor([token.get(c, UNKNOWN) for c in part]) for part in parts)
    unknown = int((test == UNKNOWN).sum())
    if unknown:
        notes += (
            f"{unknown:,} of {len(test):,} characters of the test text are not in the training "
            f"text; all of them are one token, so that their bits are fewer than they would be",
        )
    return Task(
        name=name,
        inputs="tokens",
        train=_pieces(train, context),
        test=_pieces(test, context),
        outputs=len(vocabulary) + 1,
        objective=CHARACTERS,
        split="last",
        notes=notes,
    )


def _pieces(tokens: Tensor, context: int) -> Examples:
    """Return pieces one after the other, each with the characters that follow its own."""
    end = (len(tokens) - 1) // context * context
    return Examples(tokens[:end].view(-1, context), tokens[1 : end + 1].view(-1, context))


def read_text(path: Path, *, context: int = CONTEXT) -> Task:
    """Return the task of a text file in UTF-8.

    Raises:
        DataError: There is none, or it is too short.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"text:{path}: {error}; expected a text file in UTF-8") from None
    return text_task(f"text:{path.name}", text, context)


def load_topics(root: Path) -> Task:
    """Return the help texts of Python, which each version of Python has its own of."""
    from pydoc_data.topics import topics

    text = _each_once(topics)
    digest = hashlib.sha256(text.encode()).hexdigest()
    version = ".".join(map(str, sys.version_info[:3]))
    note = (
        f"the text is that of Python {version}, {len(text):,} characters with SHA-256 "
        f"{digest[:16]}...; another version has another text, and other results"
    )
    return text_task("topics", text, CONTEXT, (note,))


def _each_once(topics: Mapping[str, str]) -> str:
    """Return texts without those that stand in another one, in the order of their names.

    Python has the section on `while` by itself and in that on compound statements: one would
    train, and the other one test.
    """
    kept: dict[str, str] = {}
    for name in sorted(topics, key=lambda name: (-len(topics[name]), name)):
        body = topics[name].strip().split("\n", 2)[-1].strip()  # below the title and its line
        if not any(body in other for other in kept.values()):
            kept[name] = topics[name]
    return "".join(kept[name] for name in sorted(kept))


@hookimpl
def actzoo_datasets() -> tuple[Dataset, ...]:
    """Return the help texts of Python."""
    topics = Dataset(
        name="topics",
        load=load_topics,
        description="the help texts of Python itself, character by character: no download",
        caution="one small text of one kind: it says little of large language models",
    )
    return (topics,)
