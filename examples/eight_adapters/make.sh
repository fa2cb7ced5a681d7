#!/usr/bin/env bash
# One suite over two checkpoints, a server, a text reader, controls and published answers, in one leaderboard.
#
#   bash examples/eight_adapters/make.sh [OUT] [REFERENCE_DATA]
#
# OUT (default runs/eight) gets a run of each and board/leaderboard.html. REFERENCE_DATA (default ../shared/data) has
# images/mathv_testmini (the pictures of MATH-Vision testmini) and predictions/mathv (published answers of LLaVA-1.5-13B).
# Needs the extra rapidocr. Run it again to continue where it stopped.
set -euo pipefail
cd "$(dirname "$0")/../.."
OUT=${1:-runs/eight}
DATA=${2:-../shared/data}
PYTHON=${PYTHON:-.venv/bin/python}
SUITE=examples/eight_adapters/suites/eight.yaml

ask() { # ask NAME OPTIONS...: one run of the suite
  local name=$1
  shift
  "$PYTHON" run_eval.py run "$SUITE" --data-root "$DATA/images" --out "$OUT/$name" --no-report "$@"
}

# A model that is served: the small checkpoint again, behind the OpenAI protocol on this machine.
mkdir -p "$OUT"
"$PYTHON" run_eval.py serve --checkpoint small-final --port 0 > "$OUT/server.log" 2>&1 &
SERVER=$!
trap 'kill "$SERVER" 2>/dev/null || true' EXIT

ask final --checkpoint small-final
ask early --checkpoint small-early
ask blind --model blind -o base=omnilmm --checkpoint small-final
ask rapidocr --model rapidocr -o detect=false
for control in chance majority prior oracle echo; do ask "$control" --model "$control"; done

# Published answers: imported, then replayed on the pictures that are here, by problem number. Only one task has them.
[ -e "$OUT/published-all" ] || "$PYTHON" run_eval.py import mathvision mathvision_testmini \
  "$DATA/predictions/mathv/LLaVA-v1.5-13B.jsonl" --references "$DATA/predictions/mathv/test.jsonl" \
  --name LLaVA-1.5-13B --out "$OUT/published-all"
"$PYTHON" run_eval.py run mathvision_testmini --limit 100 --model replay -o "run=$OUT/published-all" -o match=id \
  --data-root "$DATA/images" --out "$OUT/published" --no-report

URL=$(grep -o 'http://[0-9.:]*' "$OUT/server.log" | head -1)
[ -n "$URL" ] || { echo "error: the server did not start:"; cat "$OUT/server.log"; exit 2; }
ask server --model openai -o "base_url=$URL/v1"

BOARD=(final early server blind rapidocr published chance majority prior echo oracle)
"$PYTHON" run_eval.py leaderboard "${BOARD[@]/#/$OUT/}" --suite "$SUITE" --title "Eight adapters and more" --out "$OUT/board"

# The page of the documentation, and its picture where there is a Chromium.
cat examples/eight_adapters/intro.md "$OUT/board/leaderboard.md" | sed '/^# Eight adapters and more$/d' > "$OUT/board/page.md"
if command -v chromium > /dev/null; then
  chromium --headless=new --no-sandbox --disable-gpu --hide-scrollbars --window-size=1500,900 \
    --screenshot="$OUT/board/leaderboard.png" "file://$(realpath "$OUT/board/leaderboard.html")" 2> /dev/null
fi
echo "page and picture: $OUT/board/page.md $OUT/board/leaderboard.png"
