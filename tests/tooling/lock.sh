#!/usr/bin/env bash
# Writes every requirements lock again: exact versions with hashes, without addresses.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cache=${MODELSERVICE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/modelservice}
bash tests/tooling/venv.sh tools tests/tooling/tools.lock >/dev/null
uv=$(ls -d "$cache"/venvs/uv-*/bin/uv | tail -n 1)
compile() {
  UV_CACHE_DIR=$cache/uv "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --no-header --no-annotate "$@"
}
compile tests/tooling/uv.in -o tests/tooling/uv.lock
compile tests/tooling/tools.in -o tests/tooling/tools.lock
compile tests/tooling/s3.in -o tests/tooling/s3.lock
for peer in transformers litserve infinity locust; do
  compile tests/bench/runtime/peers/$peer.in -o tests/bench/runtime/peers/$peer.lock
done
compile pyproject.toml --extra dev -o tests/tooling/dev.lock
compile pyproject.toml --extra runtime --extra tracing -o runtime/requirements.lock
compile pyproject.toml --extra operator -o operator/requirements.lock
