#!/usr/bin/env bash
# The peers, each in a folder of its own under bench/.peers: LiteLLM's proxy from PyPI, Portkey's gateway from npm.
# nginx and wrk come from the system: apt install nginx-light wrk gcc
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
peers=$here/../.peers
litellm=1.106.2

mkdir -p "$peers/portkey"
if [ "$("$peers/litellm/bin/python" -c 'from importlib.metadata import version; print(version("litellm"))' 2>/dev/null)" != "$litellm" ]; then
  "${PYTHON:-python3}" -m venv "$peers/litellm"
  "$peers/litellm/bin/python" -m pip install --quiet --disable-pip-version-check "litellm[proxy]==$litellm"
fi
if ! command -v npm >/dev/null; then
  echo "Portkey's gateway needs Node and npm (apt install nodejs npm); going on without it." >&2
elif ! cmp --silent "$here/package.json" "$peers/portkey/package.json" || [ ! -d "$peers/portkey/node_modules/hono" ]; then
  rm -rf "$peers/portkey/node_modules" "$peers/portkey/package-lock.json"
  cp "$here/package.json" "$peers/portkey/package.json"
  npm install --prefix "$peers/portkey" --no-audit --no-fund --ignore-scripts --loglevel=error
fi
