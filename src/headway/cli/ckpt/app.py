"""`headway ckpt`: the commands on checkpoints and their options. Their code is in the files beside this one, imported when one
runs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Literal, ParamSpec

import typer

from headway.cli.trouble import handle_errors
from headway.errors import UsageError
from headway.extras import explain_missing

ckpt = typer.Typer(
    name="ckpt",
    help="Look at, check, keep and exchange checkpoints.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
P = ParamSpec("P")

Root = Annotated[str, typer.Argument(metavar="ROOT", help="The folder of the checkpoints, or the URL of an object store.")]
Step = Annotated[str, typer.Argument(metavar="[STEP]", help="A step, the id of a checkpoint, or `latest`.", show_default=False)]
OneStep = Annotated[str, typer.Argument(metavar="STEP", help="A step, the id of a checkpoint, or `latest`.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
Trace = Annotated[bool, typer.Option("--traceback", help="Show errors with all their frames.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


def _command(command: Callable[P, None]) -> Callable[P, None]:
    """`handle_errors`, and a sentence where the libraries that checkpoints need are not installed."""

    @handle_errors
    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with explain_missing("headway ckpt"):
            command(*args, **kwargs)

    return run


@ckpt.command()
@_command
def ls(
    root: Annotated[
        str, typer.Argument(metavar="ROOT|RUN", help="The folder of the checkpoints, the URL of an object store, or a run's id.")
    ],
    store: Annotated[str, typer.Option("--store", envvar="HEADWAY_STORE", help="The store of the run.")] = ".headway",
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """List checkpoints, the newest last.

    Those of a root, or those that the calls of a run saved (hw.checkpoints()).
    """
    from headway.cli.ckpt.ls import list_checkpoints

    list_checkpoints(root, store, as_json=json)


@ckpt.command()
@_command
def show(
    root: Root,
    step: Step = "latest",
    names: Annotated[
        str,
        typer.Argument(metavar="[NAMES]", help="Only arrays and values whose names match, such as 'model.*'.", show_default=False),
    ] = "*",
    timeline: Annotated[str | None, typer.Option("--timeline", metavar="FILE.svg", help="Draw what each writer did when.")] = None,
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """Show what is in a checkpoint.

    Its arrays and values, where it comes from, who wrote it, and which writer the others waited for.
    """
    from headway.cli.ckpt.show import show_checkpoint

    show_checkpoint(root, step, names, timeline=timeline, as_json=json)


@ckpt.command()
@_command
def verify(
    root: Root,
    step: Step = "latest",
    everything: Annotated[bool, typer.Option("--all", "-a", help="Every checkpoint of the root.")] = False,
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """Verify every byte of a checkpoint.

    Names the tensor, file and block of what differs from what was written. Exits with 3 if something is wrong.
    """
    from headway.cli.ckpt.verify import verify_checkpoints

    if everything and step != "latest":
        raise UsageError(f"verify --all looks at all checkpoints: drop {step} or --all")
    verify_checkpoints(root, step, everything=everything, as_json=json)


@ckpt.command()
@_command
def diff(
    root: Root,
    before: Annotated[str, typer.Argument(metavar="A", help="A step, the id of a checkpoint, or `latest`.")],
    after: Annotated[str, typer.Argument(metavar="B", help="What to compare it with.")],
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """Compare two checkpoints.

    Says what differs, tensor by tensor. Reads only blocks whose hashes differ.
    """
    from headway.cli.ckpt.diff import compare

    compare(root, before, after, as_json=json)


@ckpt.command()
@_command
def export(
    root: Root,
    places: Annotated[
        list[str], typer.Argument(metavar="[STEP] FILE.safetensors|FOLDER", help="What to write, and from which checkpoint.")
    ],
    safetensors: Annotated[bool, typer.Option("--safetensors", help="Write safetensors, the only format so far.")] = True,
    shard_size: Annotated[
        str | None,
        typer.Option("--shard-size", metavar="SIZE", help="Write several files of at most this size (5GB), and their index."),
    ] = None,
    select: Annotated[
        str, typer.Option("--select", metavar="PATTERN", help="Only arrays whose names match, such as 'model.*'.")
    ] = "*",
    strip: Annotated[str, typer.Option("--strip", metavar="PREFIX", help="Remove this from the beginning of names.")] = "",
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """Export a checkpoint as safetensors.

    Every block is verified, and nothing is overwritten.
    """
    from headway.cli.ckpt.export import export as write

    write(root, places, shard_size=shard_size, select=select, strip=strip, as_json=json)


@ckpt.command("import")
@_command
def import_(
    root: Root,
    files: Annotated[list[str], typer.Argument(metavar="FILES…", help="A file, an index, or a folder.")],
    step: Annotated[int | None, typer.Option("--step", min=0, help="The step of the new checkpoint.")] = None,
    source: Annotated[
        Literal["safetensors", "dcp", "universal"] | None,
        typer.Option("--from", help="The format.  [default: recognised by the files]"),
    ] = None,
    prefix: Annotated[str, typer.Option("--prefix", help="Put before each name, such as 'model.'.")] = "",
    copy: Annotated[bool, typer.Option("--copy", help="Copy the bytes instead of referring to the files.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Import into a root that has checkpoints; this becomes its newest.")
    ] = False,
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """Import files of other programs.

    Safetensors files, a torch.distributed.checkpoint folder, or a DeepSpeed universal checkpoint. No pickle is run.
    """
    from headway.cli.ckpt.import_files import import_files

    import_files(root, files, step, source, prefix=prefix, copy=copy, force=force, as_json=json)


@ckpt.command()
@_command
def reshard(
    root: Root,
    step: Step = "latest",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what a load under that layout would read.")] = False,
    ranks: Annotated[int | None, typer.Option("--ranks", min=1, help="How many processes will load it.")] = None,
    hosts: Annotated[int, typer.Option("--hosts", min=1, help="On how many machines.")] = 1,
    split: Annotated[
        list[str] | None,
        typer.Option("--split", metavar="PATTERN:DIM", help="Tensors like this are split along DIM; repeatable. Others are whole."),
    ] = None,
    bandwidth: Annotated[
        str | None, typer.Option("--bandwidth", metavar="SIZE", help="Bytes per second to each host.  [default: measured]")
    ] = None,
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """Predict a load under another layout.

    There is nothing to convert: a load reshards by itself.
    """
    from headway.cli.ckpt.reshard import ReshardOptions
    from headway.cli.ckpt.reshard import reshard as predict

    predict(
        ReshardOptions(
            root=root, step=step, ranks=ranks, hosts=hosts, split=split or [], bandwidth=bandwidth, dry_run=dry_run, json=json
        )
    )


@ckpt.command()
@_command
def pin(root: Root, step: OneStep, json: Json = False, traceback: Trace = False) -> None:
    """Keep a checkpoint whatever the rules say."""
    from headway.cli.ckpt.pin import set_pin

    set_pin(root, step, pinned=True, as_json=json)


@ckpt.command()
@_command
def unpin(root: Root, step: OneStep, json: Json = False, traceback: Trace = False) -> None:
    """Leave a checkpoint to the rules again."""
    from headway.cli.ckpt.pin import set_pin

    set_pin(root, step, pinned=False, as_json=json)


@ckpt.command()
@_command
def gc(
    root: Root,
    last: Annotated[int | None, typer.Option("--keep-last", metavar="N", min=1, help="Keep the newest N.")] = None,
    every: Annotated[
        int | None, typer.Option("--keep-every", metavar="K", min=1, help="Keep steps that are multiples of K.")
    ] = None,
    best: Annotated[
        str | None, typer.Option("--best", metavar="METRIC:min|max:N", help="Keep the best N by a metric: val_loss:min:2.")
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """Remove checkpoints that no rule keeps.

    And what crashed saves left. Without a rule all checkpoints stay. The newest, pinned ones, and those that are being read or
    saved always stay.
    """
    from headway.cli.ckpt.gc import collect_garbage

    collect_garbage(root, last, every, best, dry_run=dry_run, as_json=json)


@ckpt.command()
@_command
def bench(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="The folder to measure; it is left as it was.")],
    size: Annotated[str, typer.Option("--size", help="How much state to save and load.")] = "256MiB",
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="How many rounds; the median is reported.")] = 3,
    json: Json = False,
    traceback: Trace = False,
) -> None:
    """Measure saves and loads in a folder.

    Beside what its disk can do.
    """
    from headway.cli.ckpt.bench import bench as measure

    measure(folder, size, repeats, as_json=json)
