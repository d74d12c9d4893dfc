#!/usr/bin/env bash
# Makes one of the environments beside this file: envs/make.sh bt9 fills .venvs/bt9 from envs/bt9.txt and prints its python.
# Safe to run again, and by several at once. PYTHON chooses the interpreter; uv is used where that interpreter has it.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
name=${1:?usage: envs/make.sh NAME, one of: $(cd "$root/envs" && ls ./*.txt | sed 's|./||; s|.txt||' | tr '\n' ' ')}
pins=$root/envs/$name.txt
env=${ENVS_DIR:-$root/.venvs}/$name
python=${PYTHON:-python3}
[ -f "$pins" ] || { echo "no such file: $pins" >&2; exit 2; }
mkdir -p "$(dirname "$env")"
exec 9>"$env.lock"
flock 9
if ! cmp -s "$pins" "$env/.pins"; then
  rm -rf "$env"
  if "$python" -m uv --version >/dev/null 2>&1; then
    "$python" -m uv venv --quiet --python "$python" "$env" >&2
    "$python" -m uv pip install --quiet --python "$env/bin/python" -r "$pins" >&2
  else
    "$python" -m venv "$env" >&2
    "$env/bin/python" -m pip install --quiet --disable-pip-version-check -r "$pins" >&2
  fi
  cp "$pins" "$env/.pins"
fi
echo "$env/bin/python"
