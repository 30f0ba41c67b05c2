#!/usr/bin/env bash
# The wheel, used as one who never saw the repository: installed in an environment of its own, run in an empty folder.
# The libraries are those of the environment whose `python` is on the PATH; ptmoe alone comes from the wheel.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
libraries=$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
python -m pip wheel --quiet --no-deps --wheel-dir "$work" .
python -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --no-deps "$work"/ptmoe-*.whl
# A path file adds the folder behind the wheel's own, and does not follow the path file of an editable ptmoe in it.
site=$(echo "$work"/env/lib/python*/site-packages)
echo "$libraries" > "$site/libraries.pth"

tracked=$({ git ls-files ptmoe; echo ptmoe/params.yaml; } | sort)
packed=$(python -m zipfile --list "$work"/ptmoe-*.whl | awk '/^ptmoe\// {print $1}' | sort)
if ! diff <(echo "$tracked") <(echo "$packed") > "$work/differences"; then
  printf 'the wheel (>) does not hold what Git tracks (<):\n' >&2
  cat "$work/differences" >&2
  exit 1
fi

mkdir "$work/elsewhere"
cd "$work/elsewhere"
unset PYTHONPATH
export PATH="$work/env/bin:$PATH" HF_HUB_OFFLINE=1

# Runs a command, shows what it prints, and checks its exit status and that a text is in its output.
expect() {
  local status=$1 text=$2 output code=0
  shift 2
  output=$("$@" 2>&1) || code=$?
  printf '$ %s\n%s\n' "$*" "$output"
  if [ "$code" != "$status" ] || [[ "$output" != *"$text"* ]] || [[ "$output" == *Traceback* ]]; then
    printf 'expected status %s and "%s" without a traceback, got status %s\n' "$status" "$text" "$code" >&2
    exit 1
  fi
}

expect 0 "$work/env" python -c 'import ptmoe; print(ptmoe.__file__)'
expect 0 "ptmoe 0." python -m ptmoe --version
base=$(python -c 'from ptmoe.config import params, project; print(params.Params.load(project.params_file()).profile.base.name)')
export base
expect 0 "$base: 455,328 parameters" ptmoe budget --base "$base"
expect 0 '"trainable_parameters": 3714' ptmoe budget --json
expect 1 "missing  project" ptmoe doctor

printf '{"prediction": "The answer is: %s", "answers": ["7"]}\n' 7 8 > predictions.jsonl
expect 0 "accuracy" ptmoe score math predictions.jsonl --rows first.jsonl
expect 0 "50.00 %" ptmoe score math predictions.jsonl
cp first.jsonl second.jsonl
expect 0 "A = first.jsonl" ptmoe compare first.jsonl second.jsonl
expect 2 "error: 'nothing' is not a scores file" ptmoe compare nothing first.jsonl
expect 2 "error: params.yaml is missing" ptmoe report

# Neither needs Git until it is asked about a revision; without Git they say so.
expect 1 "missing  Git" env PATH="$work/env/bin" ptmoe doctor
expect 0 "A = first.jsonl" env PATH="$work/env/bin" ptmoe compare first.jsonl second.jsonl
expect 2 "no \`git\` is on the PATH" env PATH="$work/env/bin" ptmoe compare nothing first.jsonl

cat > adapter.py <<'PYTHON'
import os

from ptmoe import PromptedLM
from ptmoe.base.hub import local_folder
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = local_folder(os.environ["base"])
base, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
model = PromptedLM.create(base, "pt", {"prompt_length": 4}, "Answer the question.", tokenizer)
model.save("adapter", note={"template": {"instruction": "Answer.", "input": "Question: {question}", "cue": "Answer:"}})
print("saved")
PYTHON
expect 0 saved python adapter.py
echo '{"question": "Who keeps a raven?"}' > questions.jsonl
expect 0 "answers.jsonl: 1 answers" \
  ptmoe predict --adapter adapter --base "$base" --input questions.jsonl --output answers.jsonl \
  --max-new-tokens 8
expect 0 '"prediction"' cat answers.jsonl
echo "the wheel works outside the repository"
