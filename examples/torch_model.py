"""A torch module of your own: does raising the first input always raise the output?"""

import torch

import verifex
from verifex import box, explain, monotone, point

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
with torch.no_grad():
    model[0].weight[:, 0].abs_()  # the first input counts only upwards ...
    model[2].weight.abs_()

spec = verifex.Spec(
    input=point([0.5, 0.5, 0.5, 0.5], names=["dose", "age", "weight", "height"]),
    region=box(0, 1),
    explain=explain("gradient", output="logit:0"),
    require=[monotone("increasing", "dose")],
)
print("dose:", verifex.verify(model, spec, seconds=20).outcome.value)

# ... the second one does not.
spec = spec.model_copy(update={"require": (monotone("increasing", "age"),)})
verdict = verifex.verify(model, spec, seconds=20)
print("age:", verdict.outcome.value, [float(v) for v in verdict.witness.point])
