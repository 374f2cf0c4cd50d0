"""The commands and their options; what they do is in the modules beside this one.

Only typer is imported here: `verifex --help` must come at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from verifex.cli.options import CLAIM, RANGE, SEARCH, with_settings
from verifex.errors import UsageError
from verifex.expressions import listed
from verifex.settings import Settings, read_seconds

app = typer.Typer(
    name="verifex",
    help="Formal verification of small neural networks: proofs about outputs and explanations.",
    epilog="Exit codes: 0 proved, 1 refuted, 2 unknown or claimed, 64 usage, 65 bad input, "
    "69 missing solver, 70 internal error, 130 interrupted.",
    no_args_is_help=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the verdict alone.")]
Log = Annotated[
    Path | None,
    typer.Option("--log", metavar="FILE", help="Write what happens as JSON lines (see `plot`)."),
]
Files = Annotated[
    list[Path], typer.Argument(metavar="[NET] SPEC", help="Network (.onnx), unless the spec names "
                               "it; spec (.toml).")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Ask the spec with another value of a key, in "
                 "TOML: region.linf=0.03, require[0].at_most=0.2; repeatable."),
]
Certificates = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[NET] SPEC CERTIFICATE | FOLDER", help="Network, unless the spec "
                   "names it; spec; certificate written by `verify --certificate`. Or a folder "
                   "of certificates (*.vxc, *.vxc.gz) and the files that they name.",
                   show_default=False),
]
Network = Annotated[Path, typer.Argument(metavar="NET", help="Network (.onnx).")]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"verifex {version('verifex-nn')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def top(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Formal verification of small neural networks: proofs about outputs and explanations."""
    if context.invoked_subcommand is None:
        raise UsageError("usage: no command is given (see verifex --help)")


@app.command()
@with_settings(CLAIM)
def verify(
    files: Files,
    settings: Settings,
    log: Log = None,
    save_witness: Annotated[
        Path | None,
        typer.Option("--save-witness", metavar="FILE", help="Write the witness for `replay`."),
    ] = None,
    set_keys: Set = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Decide the claim of a spec about a network, and have the certificate checked."""
    from verifex.cli import decide
    from verifex.cli.common import with_changes

    with with_changes(files, set_keys, settings.certificate or save_witness) as asked:
        code = decide.verify(asked, settings, save=save_witness, log=log, json=json, quiet=quiet)
    raise typer.Exit(code)


@app.command()
@with_settings(RANGE)
def bound(
    files: Files,
    expression: Annotated[
        list[str],
        typer.Option("--expression", "-e", metavar="EXPR", help=f"What to bound, repeatable: "
                     f"{listed()} (specs/LANGUAGE.md)."),
    ],
    settings: Settings,
    log: Log = None,
    set_keys: Set = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find the worst-case range of expressions over the region of a spec, and have it checked."""
    from verifex.cli import decide
    from verifex.cli.common import with_changes

    with with_changes(files, set_keys) as asked:
        code = decide.bound(asked, expression, settings, log=log, json=json, quiet=quiet)
    raise typer.Exit(code)


@app.command()
@with_settings(CLAIM)
def radius(
    files: Files,
    settings: Settings,
    feature: Annotated[
        list[str] | None,
        typer.Option("--feature", "-f", metavar="NAME", help="Of this feature (or pattern) alone, "
                     "with all others frozen; repeatable; all: a table of every feature."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--of", metavar="KEY", help="Which radius: linf, "
                     "linf_relative, l1, l2 (the one that the spec has)."),
    ] = None,
    tolerance: Annotated[
        str, typer.Option("--tolerance", metavar="NUMBER", help="The gap that may be left, as a "
                          "part of the refuted radius.")
    ] = "1e-3",
    most: Annotated[
        str | None,
        typer.Option("--max", metavar="NUMBER", help="Look no farther (the end of the domain that "
                     "box and clip leave; 1e6 where it has none)."),
    ] = None,
    save_witness: Annotated[
        Path | None,
        typer.Option("--save-witness", metavar="FILE", help="Write the witness for `replay`, and "
                     "beside it the spec that it refutes (.toml) and its certificate (.vxc)."),
    ] = None,
    log: Log = None,
    set_keys: Set = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find the largest radius for which a claim is proved, and the least that is refuted."""
    from verifex.cli.common import with_changes
    from verifex.cli.radius_command import command as finding

    asked = finding.AskedRadius(key, tuple(feature or ()), tolerance, most, save_witness)
    with with_changes(files, set_keys) as changed:
        code = finding.radius(changed, asked, settings, log=log, json=json, quiet=quiet)
    raise typer.Exit(code)


@app.command()
@with_settings(SEARCH)
def difference(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="NET_A NET_B SPEC", help="Two networks with the same inputs; the "
                       "spec says region, reference and attribution (its require is not read)."),
    ],
    settings: Settings,
    of: Annotated[
        list[str] | None,
        typer.Option("--of", metavar="WHAT", help="output, output:2, class, attribution, "
                     "attribution:NAME, attribution:l1, attribution:linf, "
                     "attribution:l2_squared; repeatable (output)."),
    ] = None,
    at_most: Annotated[
        str | None,
        typer.Option("--at-most", metavar="NUMBER", help="Claim that every difference is at most "
                     "that in size, instead of finding the ranges."),
    ] = None,
    save_as: Annotated[
        Path | None,
        typer.Option("--save-as", metavar="NAME", help="Write the claim as NAME.onnx and "
                     "NAME.vnnlib, which `verify` proves with a certificate."),
    ] = None,
    log: Log = None,
    set_keys: Set = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """How far two networks differ over a region: outputs, classes, attributions."""
    from verifex.cli import decide
    from verifex.cli.common import with_changes

    networks, spec = files[:-1], files[-1:]
    with with_changes(spec, set_keys) as asked:
        code = decide.difference(
            [*networks, *asked], of or ["output"], at_most, settings, save_as=save_as, log=log,
            json=json, quiet=quiet)
    raise typer.Exit(code)


@app.command()
def check(
    files: Certificates = None,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", help="Processes of the checker; of a folder: "
                          "certificates that are checked at once.")
    ] = 1,
    timeout: Annotated[
        str | None,
        typer.Option("--timeout", "-t", metavar="TIME", help="Wall time for each certificate: 90 "
                     "(seconds), 5m, 1h30m (no limit).", show_default=False)
    ] = None,
    more_files: Annotated[
        list[Path] | None,
        typer.Option("--files", metavar="DIR", help="Of a folder: look for networks and specs here "
                     "too, repeatable.")
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option("--export", metavar="FILE", help="Check nothing: write the checker as one "
                     "file, a zip application (.pyz) that needs Python alone.")
    ] = None,
    json: Json = False,
) -> None:
    """Check a certificate in exact arithmetic: exit code 0 valid, 2 incomplete, 65 invalid. Of a
    folder: 0 all valid, 1 one invalid, 2 one incomplete, 65 something missing or unreadable."""
    from verifex.cli import check as checking

    if export is not None:
        if files:
            raise UsageError("--export checks nothing, expected no other files")
        raise typer.Exit(checking.export(export, json=json))
    if not files:
        raise UsageError("0 files, expected a folder, or a network, a spec and a certificate")
    seconds = None if timeout is None else read_seconds(timeout)
    options = checking.CheckOptions(jobs, seconds, tuple(more_files or ()), json)
    raise typer.Exit(checking.check(files, options))


@app.command()
def init(
    network: Network,
    data: Annotated[
        Path | None,
        typer.Argument(metavar="[DATA]", help="Data file (.csv, .csv.gz, .npy) in the units of the "
                       "network's inputs.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Spec to write (NET.toml, here)."),
    ] = None,
    row: Annotated[
        int | None, typer.Option("--row", min=0, help="Row of the data that the claim is about, "
                                 "from 0 (an early one that is predicted right).")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="NAME", help="Column of the labels (guessed).")
    ] = None,
    network_output: Annotated[
        str | None, typer.Option("--network-output", metavar="NAME", help="Output with the scores, "
                                 "of several (guessed).")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file.")] = False,
    json: Json = False,
) -> None:
    """Write a commented spec for a network, which `verify` takes as it stands."""
    from verifex.cli.first import init as first

    raise typer.Exit(first.init(
        network, data, output, row=row, target=target, network_output=network_output, force=force,
        json=json))


@app.command()
def spec(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A ready spec; all are listed without.",
                                   show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Copy it to a file, with "
                                  "the network and the data that it is about beside it.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files.")] = False,
    json: Json = False,
) -> None:
    """Ready specs: list them, print one, or copy one with what it is about."""
    from verifex.cli.first import ready

    raise typer.Exit(ready.spec(name, output, force=force, json=json))


@app.command()
def explain(
    files: Files,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Drawing to write: bars, "
                                  "or a map for images (.svg, .png, .pdf).")
    ] = None,
    rows: Annotated[
        int | None, typer.Option("--rows", min=1, help="Components to print (20).")
    ] = None,
    set_keys: Set = None,
    json: Json = False,
) -> None:
    """The explanation of a spec at its reference: exact values by rank, ties and kinks told."""
    from verifex.cli.common import with_changes
    from verifex.cli.first import explain as explained

    with with_changes(files, set_keys) as asked:
        code = explained.explain(asked, output, rows=rows, json=json)
    raise typer.Exit(code)


@app.command()
def plot(
    log: Annotated[Path, typer.Argument(metavar="LOG", help="Log written with --log.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Drawing to write (.svg, .png).")
    ],
) -> None:
    """Draw a log over time: bound or gap, domains, and which engine had the time."""
    from verifex.cli import plot as drawing

    raise typer.Exit(drawing.plot(log, output))


@app.command()
def replay(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="[NET] SPEC WITNESS", help="Network, unless the spec names it; "
                       "spec; witness written by `verify --save-witness`."),
    ],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Evaluate a saved witness again, in exact arithmetic."""
    from verifex.cli import decide

    raise typer.Exit(decide.replay_file(files, json=json, quiet=quiet))


@app.command()
def show(
    network: Network,
    spec: Annotated[
        Path | None,
        typer.Option("--spec", help="Show the graph with the attribution of this spec, and how "
                     "many gates are open over its region."),
    ] = None,
    dot: Annotated[
        Path | None, typer.Option("--dot", metavar="FILE", help="Write a drawing for Graphviz.")
    ] = None,
    graphml: Annotated[
        Path | None, typer.Option("--graphml", metavar="FILE", help="Write the graph as GraphML.")
    ] = None,
    set_keys: Set = None,
    json: Json = False,
) -> None:
    """Show the graph of a network."""
    from verifex.cli import network as shown
    from verifex.cli.common import with_changes

    if spec is None:
        if set_keys:
            raise UsageError("--set changes keys of a spec, expected --spec FILE")
        raise typer.Exit(shown.show(network, None, dot, graphml, json=json))
    with with_changes([network, spec], set_keys) as (network, changed):
        code = shown.show(network, changed, dot, graphml, json=json)
    raise typer.Exit(code)


@app.command()
def export(
    files: Files,
    smtlib: Annotated[
        Path | None, typer.Option("--smtlib", metavar="FILE", help="The question as SMT-LIB 2.6.")
    ] = None,
    mps: Annotated[
        Path | None, typer.Option("--mps", metavar="FILE", help="The question as MPS.")
    ] = None,
    lp: Annotated[
        Path | None, typer.Option("--lp", metavar="FILE", help="The question as LP.")
    ] = None,
    onnx: Annotated[
        Path | None,
        typer.Option("--onnx", metavar="FILE", help="The network with the attribution as output."),
    ] = None,
    vnnlib: Annotated[
        Path | None,
        typer.Option("--vnnlib", metavar="FILE", help="With --onnx: the question as VNN-LIB 1.0 "
                     "about that file, whose outputs are then what the claim reads."),
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option("--certificate", metavar="FILE", help="With --leaf: the certificate."),
    ] = None,
    leaf: Annotated[
        int | None,
        typer.Option("--leaf", metavar="K", help="Restrict the question (--smtlib) to leaf K of "
                     "the certificate, counted from 0: unsat shows that it is closed."),
    ] = None,
    json: Json = False,
) -> None:
    """Write the question, or the network with its attribution, for other tools."""
    from verifex.cli import export as writer

    targets = {"smtlib": smtlib, "mps": mps, "lp": lp, "onnx": onnx, "vnnlib": vnnlib}
    raise typer.Exit(writer.export(files, targets, certificate, leaf, json=json))


@app.command()
def support(
    markdown: Annotated[
        Path | None,
        typer.Option("--markdown", metavar="FILE", help="Write the table as a Markdown page."),
    ] = None,
    json: Json = False,
) -> None:
    """List the ONNX operators that are read, and what the checker of certificates reads of them."""
    from verifex.cli import network as shown

    raise typer.Exit(shown.support(markdown, json=json))


@app.command()
def solvers(json: Json = False) -> None:
    """List the solvers, and why one that is missing is missing."""
    from verifex.cli import environment

    raise typer.Exit(environment.solvers(json=json))


@app.command()
def doctor(json: Json = False) -> None:
    """Check this installation: packages, every solver on a small model, a whole small problem."""
    from verifex.cli import environment

    raise typer.Exit(environment.doctor(json=json))
