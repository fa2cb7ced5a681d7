"""Put an export for Every Eval Ever to that project's own schema files.

    python tools/check_every_eval_ever.py EXPORT_FOLDER SCHEMA_FOLDER

SCHEMA_FOLDER holds eval.schema.json and instance_level_eval.schema.json from github.com/evaleval/every_eval_ever
(every_eval_ever/schemas). Needs the package jsonschema. Ends with 1 if anything does not fit.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def main() -> int:
    """Check all documents and lines of a folder."""
    import jsonschema

    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("export", type=Path)
    options.add_argument("schemas", type=Path)
    places = options.parse_args()
    names = ("eval.schema.json", "instance_level_eval.schema.json")
    whole, line = (jsonschema.Draft7Validator(json.loads((places.schemas / name).read_text())) for name in names)
    checked, problems = 0, []
    for path in sorted(places.export.rglob("*.json*")):
        validator = line if path.suffix == ".jsonl" else whole
        texts = path.read_text(encoding="utf-8")
        for number, text in enumerate(texts.splitlines() if path.suffix == ".jsonl" else [texts], 1):
            checked += 1
            problems += [f"{path.name}:{number}: {e.message[:300]}" for e in validator.iter_errors(json.loads(text))]
    print("\n".join([*problems[:20], f"{checked} records, {len(problems)} problems"]))
    return 1 if problems or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
