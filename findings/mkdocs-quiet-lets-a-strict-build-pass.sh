#!/usr/bin/env bash
# The good guess: mkdocs build --strict --quiet prints less than mkdocs build --strict, but fails
# for broken links as well.
# The behaviour: mkdocs 1.6.1 counts warnings by a handler of its logger. --quiet raises that
# logger's level, so no warning is counted, and the strict build of broken pages ends with 0.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check mkdocs==1.6.1

mkdir docs
echo 'A [link](missing.md) that leads nowhere.' > docs/index.md
echo 'site_name: One page' > mkdocs.yml

build() {
  local code=0
  timeout 60 venv/bin/mkdocs build --strict "$@" > log 2>&1 || code=$?
  echo "$code"
}
loud=$(build)
quiet=$(build --quiet)
venv/bin/mkdocs --version
echo "guessed: both end with 1"
echo "seen: --strict ends with $loud, --strict --quiet with $quiet"
[ "$loud" = 1 ] && [ "$quiet" = 0 ]
