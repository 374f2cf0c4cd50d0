"""The public names and the modules they come from; `__init__.py` imports each on first use."""

from .api import (
    bound as bound,
    bounds as bounds,
    build as build,
    difference as difference,
    explanation as explanation,
    load as load,
    verify as verify,
)
from .engine.execute.executor import (
    Executor as Executor,
    FailureKind as FailureKind,
    Task as Task,
    TaskFailure as TaskFailure,
    TaskResult as TaskResult,
)
from .engine.execute.in_process import InProcessExecutor as InProcessExecutor
from .engine.execute.process_executor import ProcessExecutor as ProcessExecutor
from .engine.radius.radius_verdict import RadiusVerdict as RadiusVerdict
from .engine.solve.pool import SolverPool as SolverPool
from .engine.verdict import (
    Outcome as Outcome,
    RangeEnd as RangeEnd,
    RangeVerdict as RangeVerdict,
    Verdict as Verdict,
    Witness as Witness,
)
from .errors import (
    InputError as InputError,
    MissingSolverError as MissingSolverError,
    UnsupportedError as UnsupportedError,
    UsageError as UsageError,
    VerifexError as VerifexError,
)
from .frontend.onnx.export import to_onnx as to_onnx
from .frontend.torch_module import from_torch as from_torch
from .ir.graph import Graph as Graph
from .ir.problem import Problem as Problem
from .problem.spec.builders import (
    all_of as all_of,
    any_of as any_of,
    box as box,
    class_is as class_is,
    class_unchanged as class_unchanged,
    component as component,
    cosine as cosine,
    data as data,
    distance as distance,
    explain as explain,
    expression as expression,
    l1 as l1,
    l2 as l2,
    linf as linf,
    mass as mass,
    monotone as monotone,
    not_ as not_,
    order as order,
    output as output,
    point as point,
    region as region,
    sign as sign,
    top_k as top_k,
)
from .problem.spec.model import Spec as Spec, load_spec as load_spec
from .questions import (
    AnsweredQuestion as AnsweredQuestion,
    ClaimQuestion as ClaimQuestion,
    assert_proved as assert_proved,
    verify_each as verify_each,
)
from .radius_questions import radius as radius, radius_of_each as radius_of_each
from .settings import Settings as Settings
from .version import __version__ as __version__
