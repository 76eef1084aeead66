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
  sed -i.before "$3" "$2"
  rm "$2.before"
}

cd "$project"
step deploy init
cat > model_specs/captions.yaml <<'SPEC'
name: captions
container: {image: registry.example/captions:1.0.0}
traffic: {requests_per_day: 300}
performance: {service_time: 6s, cold_start: 20s}
target:
  runpod: {gpu: AMPERE_24, workers: {min: 0, max: 2}, idle_timeout: 10s}
SPEC
step deploy validate
step deploy plan --sandbox
step deploy up --sandbox --yes
step deploy status --sandbox
step deploy invoke mistral-7b --sandbox --prompt "What will this endpoint cost?"
step deploy plan --sandbox
edit "fewer workers at most: a change in place" model_specs/mistral-7b.yaml 's/max: 3/max: 2/'
step deploy up --sandbox --yes
edit "another image: a new release" model_specs/captions.yaml 's/captions:1.0.0/captions:1.1.0/'
step deploy up --sandbox --yes
step deploy down --sandbox --yes
printf '\nNothing is left: the stack is empty, the sandbox stops now.\n'
