#!/usr/bin/env bash
# Prints the folder of the virtual environment that a lock file describes, making it first when it is missing.
#
# Usage: venv.sh NAME LOCKFILE
# Environments live in the cache, one per NAME and content of the lock, so clones share them and a changed lock never meets an
# old environment. An interrupted run leaves no marker file, and the next one starts over. Bytecode is compiled at once: nothing
# writes it later, and without it every process that imports torch and transformers parses them again, for 4 seconds.
set -euo pipefail
name=$1 lock=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${MODELSERVICE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/modelservice}
python=${PYTHON:-python3}

fail() { echo "modelservice: $*" >&2; exit 1; }

command -v "$python" >/dev/null || fail "no $python on PATH; install Python 3.11 or newer, or set PYTHON to one"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$("$python" --version) is too old; Python 3.11 or newer is needed (set PYTHON)"
"$python" -c 'import venv, ensurepip' 2>/dev/null || fail "$python has no venv module; on Debian: apt-get install python3-venv"

digest() { { "$python" --version; cat "$@"; } | sha256sum | cut -c1-12; }

make_venv() {  # folder, then the command that fills it
  local folder=$1; shift
  mkdir -p "$(dirname "$folder")"
  exec 9>"$folder.lock"
  flock 9
  [ -e "$folder/.complete" ] && return
  rm -rf "$folder"
  "$python" -m venv "$folder"
  "$@"
  touch "$folder/.complete"
}

uv_folder=$cache/venvs/uv-$(digest "$here/uv.lock")
[ -e "$uv_folder/.complete" ] || {
  echo "installing uv, the package installer (first run only)" >&2
  make_venv "$uv_folder" "$uv_folder/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$here/uv.lock"
}

folder=$cache/venvs/$name-$(digest "$lock")
[ -e "$folder/.complete" ] || {
  echo "installing the Python packages of $lock (first run only)" >&2
  start=$SECONDS
  if [ -z "${UV_DEFAULT_INDEX:-}" ]; then  # uv does not read pip's configuration: pass its index on
    index=$("$uv_folder/bin/pip" config get global.index-url 2>/dev/null || true)
    index=${PIP_INDEX_URL:-$index}
    [ -z "$index" ] || export UV_DEFAULT_INDEX=$index
  fi
  UV_CACHE_DIR=$cache/uv UV_SYSTEM_CERTS=1 VIRTUAL_ENV=$folder make_venv "$folder" \
    "$uv_folder/bin/uv" pip install --compile-bytecode --require-hashes -r "$lock" >&2
  echo "installed in $((SECONDS - start)) s" >&2
}
echo "$folder"
