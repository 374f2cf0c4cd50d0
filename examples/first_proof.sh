#!/usr/bin/env bash
# The first proof about a model of your own: train it with scikit-learn, write a spec, have it proved.
#
#     examples/first_proof.sh [FOLDER]
#
# writes diabetes.onnx, diabetes.csv and diabetes.toml to the folder (the current one).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "${1:-.}"

python "$here/train_first.py"                     # a model and its data, as you have them already
verifex init diabetes.onnx diabetes.csv --force   # a commented spec, which runs as it stands
verifex verify diabetes.toml                      # proved, with a certificate that was checked
