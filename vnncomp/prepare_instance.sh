#!/bin/bash
# VNN-COMP: gets an instance ready; not timed.  prepare_instance.sh v1 CATEGORY ONNX VNNLIB
# Nothing is kept between instances. Exit code 1: an instance that cannot be run.
set -uo pipefail
[ $# -eq 4 ] && [ "$1" = v1 ] || { echo "usage: prepare_instance.sh v1 CATEGORY ONNX VNNLIB" >&2; exit 1; }
cd "$(dirname "$(readlink -f "$0")")/.." && python=$PWD/.venv/bin/python && cd "$OLDPWD" || exit 1
# Reading files and libraries once puts them into the page cache.
"$python" -m verifex.cli.vnnlib.main prepare "$3" "$4"
