#!/bin/bash
# VNN-COMP: decides an instance.  run_instance.sh v1 CATEGORY ONNX VNNLIB RESULTS TIMEOUT
# RESULTS gets sat and a counterexample, unsat, unknown, timeout or error. `unsat` is claimed, not
# proved: the competition asks for no certificates, so none is checked (--accept claimed).
set -uo pipefail
[ $# -eq 6 ] && [ "$1" = v1 ] || { echo "usage: run_instance.sh v1 CATEGORY ONNX VNNLIB RESULTS TIMEOUT" >&2; exit 1; }
cd "$(dirname "$(readlink -f "$0")")/.." && python=$PWD/.venv/bin/python && cd "$OLDPWD" || exit 1
echo error > "$5" || exit 1  # stays there should the process die before it answers
exec "$python" -m verifex.cli.vnnlib.main instance --accept claimed "$3" "$4" "$5" "$6"
