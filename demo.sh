#!/usr/bin/env bash
# The whole way on this machine: a new project, its price, its endpoint, a question, two changes, and back to nothing.
# Talks only to the sandbox; everything it makes lies in one temporary folder that it removes.
set -euo pipefail

PATH="$(cd "$(dirname "$0")" && pwd)/.venv/bin:$PATH"
project="$(mktemp -d)"
export PULUMI_CONFIG_PASSPHRASE="only-for-the-demo" PULUMI_SKIP_UPDATE_CHECK=true
unset RUNPOD_API_KEY RUNPOD_BASE_URL RUNPOD_ENDPOINT_BASE_URL PULUMI_BACKEND_URL

leave() {
  status=$?
  cd /
  deploy -C "$project" sandbox stop >/dev/null 2>&1 || true
  rm -rf "$project"
  exit "$status"
}
trap leave EXIT

step() {
  printf '\n$ %s\n' "$*"
  "$@"
}

edit() {
  printf '\n# %s\n' "$1"
  sed -i.before "$2" model_specs/mistral-7b.yaml
  rm model_specs/mistral-7b.yaml.before
}

cd "$project"
step deploy init
step deploy validate
step deploy plan --sandbox
step deploy up --sandbox --yes
step deploy status --sandbox
step deploy invoke mistral-7b --sandbox --prompt "What will this endpoint cost?"
step deploy plan --sandbox
edit "more workers: a change in place" 's/max: 3/max: 5/'
step deploy up --sandbox --yes
edit "a longer context: a new release" 's/max_context: 8192/max_context: 16384/'
step deploy up --sandbox --yes
step deploy down --sandbox --yes
printf '\nNothing is left: the stack is empty, the sandbox stops now.\n'
