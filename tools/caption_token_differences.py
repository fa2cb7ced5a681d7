"""On how many real captions our tokens differ from the Java tokenizer's: the figures in docs/scoring.md.

    python tools/caption_token_differences.py ../shared/data/predictions/vila_13b/vila_13b_COCO_VAL.xlsx

The sheet has COCO's reference captions (a list in each row) and a model's long descriptions. Needs pycocoevalcap and
Java.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

from evals.imports.formats import reader
from evals.metrics.ptb import tokenize

LINE_ENDS = str.maketrans(
    dict.fromkeys("\r\n\v\f\x85\u2028\u2029", " ")
)  # they shift all later captions in the program


def differences(captions: list[str]) -> int:
    """How many captions the two tokenise differently."""
    found = PTBTokenizer().tokenize({row: [{"caption": caption}] for row, caption in enumerate(captions)})
    return sum(tokenize(caption) != found[row][0] for row, caption in enumerate(captions))


def main() -> None:
    """Print one line for references and one for predictions."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("sheet", type=Path)
    rows = reader("vlmevalkit-lists")(arguments.parse_args().sheet, (), {})
    sets = {
        "distinct reference captions": {text for row in rows for text in row.references},
        "distinct predictions": {row.prediction or "" for row in rows},
    }
    for name, texts in sets.items():
        captions = sorted({text.translate(LINE_ENDS) for text in texts})
        print(f"{name}: {differences(captions)} of {len(captions):,} differ")


if __name__ == "__main__":
    main()
