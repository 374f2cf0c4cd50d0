#!/bin/bash
# VNN-COMP: installs verifex with everything that instances need.  install_tool.sh v1
set -euo pipefail
[ "${1:-}" = v1 ] || { echo "usage: install_tool.sh v1" >&2; exit 1; }
cd "$(dirname "$(readlink -f "$0")")/.."
make venv
.venv/bin/verifex-vnnlib --version
