"""`groundswell`: the verbs beside a run. Only the standard library is imported before the arguments are understood."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_PREFLIGHT, GroundswellError, StoreError
from pipeline.verbs._arguments import add, duration_s
from pipeline.verbs._event_arguments import add_event_verbs

EXIT_UNREAD = 141
"""As a shell says of a program that wrote to a closed pipe."""


def main(arguments: Sequence[str] | None = None) -> int:
    """One verb; returns the exit code (see `pipeline.errors`)."""
    options = parser().parse_args(arguments)
    try:
        if options.verb == "schema":
            return _schema(events=options.events)
        answer = importlib.import_module(f"pipeline.verbs.{options.verb}").run(options)
        print(answer.text, flush=True)
        return int(answer.code)
    except StoreError as error:
        code, message = EXIT_PREFLIGHT, f"output: {error}"
    except GroundswellError as error:
        code, message = error.exit_code, str(error)
    except KeyboardInterrupt:
        code, message = EXIT_INTERRUPTED, "interrupted"
    except BrokenPipeError:
        # Whoever read the answer has seen enough, such as `head`; what is left in the buffer may go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_UNREAD
    print(f"error: {message}", file=sys.stderr)
    return code


def parser() -> argparse.ArgumentParser:
    """The command line of every verb."""
    made = argparse.ArgumentParser(
        prog="groundswell",
        description="Verbs beside `python -m pipeline.run CONFIG`; `groundswell VERB --help` says more of each.",
        epilog="exit codes: 0 done; 1 faults, differences or failed jobs; 2 bad config or usage; 3 the output, a "
        "catalogue or an inbox cannot be read; 5 nothing to do; 130 interrupted",
    )
    verbs = made.add_subparsers(required=True, metavar="VERB", dest="verb")
    add(verbs, "schema", "print the JSON Schema of the config, for editors").add_argument(
        "--events", action="store_true", help="of a file of rules for events"
    )
    _config(add(verbs, "plan", "print what a run would do")).add_argument(
        "--json", action="store_true", help="as JSON: every job with its scenes, bytes and memory"
    )
    _config(
        add(verbs, "explain", "say why a tile's jobs would be made again, or not"),
        ("tile", "TILE", "tile id such as 33N-024-0246, or a job id product/tile/period"),
    )
    _runs(verbs)
    vacuum = _output(add(verbs, "vacuum", "remove what no item names and no run is at work on"))
    vacuum.add_argument(
        "--older-than", type=duration_s, default=86_400.0, metavar="AGE", help="0, 30min, 24h (the default), 7d"
    )
    vacuum.add_argument("--superseded", action="store_true", help="also items that are not current, and their files")
    vacuum.add_argument("--dry-run", action="store_true", help="print what would go")
    _output(add(verbs, "catalog", "write catalogue pages and items.parquet anew"))
    _request(
        add(verbs, "request", "turn an inbound request into the list of tree-cover tiles that a run takes as area")
    )
    export = _output(add(verbs, "export", "copy committed files into the folders and names that other programs read"))
    export.add_argument("--to", type=Path, metavar="FOLDER", required=True, help="where the folders are made")
    export.add_argument(
        "--layout",
        choices=["glacier-flow"],
        default="glacier-flow",
        help="clipped, metadata, template and download for each region and sensor",
    )
    export.add_argument(
        "--template",
        metavar="PATH",
        help="instead: a path for each layer, such as {year}/ard/{x}/{y}/{x}X{y}Y_{layer}.tif",
    )
    export.add_argument("--product", metavar="NAME", help="needed where the output holds several products")
    _rtc(add(verbs, "rtc", "make terrain-corrected scenes of a Sentinel-1 GRD product, by the extra rtc"))
    _cluster(
        add(verbs, "cluster", "look at the clusters of a config, print what they would be, or end what nobody uses")
    )
    _argo(verbs)
    add_event_verbs(verbs)
    reproduce = _output(
        add(verbs, "reproduce", "make the files of an item again, from the item alone, and compare them"),
        ("item", "ITEM", "id or key of an item"),
    )
    reproduce.add_argument("--to", type=Path, metavar="FOLDER", help="keep the files in this empty folder")
    return made


def _runs(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Verbs about runs, and about what they left."""
    status = _output(add(verbs, "status", "say how far a run has come, wherever it is at work"))
    status.add_argument("--run", metavar="ID", help="a run by its id; default: the newest")
    status.add_argument("--json", action="store_true")
    status.add_argument(
        "--follow", action="store_true", help="go on until it has ended; exit 1 where it did not end well"
    )
    status.add_argument("--every", type=duration_s, default=10.0, metavar="TIME", help="with --follow; default: 10s")
    report = _output(add(verbs, "report", "write the report of a run anew, from its records: a page, tables, plots"))
    report.add_argument("--run", metavar="ID", help="a run by its id; default: the newest")
    report.add_argument("--to", metavar="FOLDER", help="a folder or s3:// address; default: runs/<id>/report/")
    report.add_argument("--no-plots", action="store_false", dest="plots", help="no PNG")
    report.add_argument("--json", action="store_true", help="print the account as JSON, write nothing")
    verify = _output(add(verbs, "verify", "check that everything committed is there, as it was committed"))
    verify.add_argument("--product", metavar="NAME", help="only the items of one product")
    verify.add_argument("--all", action="store_true", help="also items that are not current")
    verify.add_argument("--quick", action="store_true", help="names and sizes only, no data is read")
    verify.add_argument(
        "--repair", action="store_true", help="withdraw what is wrong: the next run makes exactly that again"
    )


def _request(verb: argparse.ArgumentParser) -> None:
    """A verb about an inbound request."""
    verb.epilog = (
        "exit codes: 0 all of it; 1 something that was asked for is not in the list, and is named; 5 nothing asked"
    )
    verb.add_argument(
        "request", metavar="REQUEST", type=Path, nargs="?", help="JSON of projects with missing_tiles, or GeoJSON"
    )
    verb.add_argument("--tiles", metavar="FILE", type=Path, help="Parquet table of tiles: X, Y, X_tile, Y_tile")
    verb.add_argument("-o", "--out", metavar="FILE", type=Path, help="the list as CSV; default: print it")
    verb.add_argument("--year", type=_year, action="append", default=[], dest="years", help="of an area; maybe several")
    verb.add_argument("--bbox", type=float, nargs=4, metavar=("WEST", "SOUTH", "EAST", "NORTH"))
    verb.add_argument(
        "--point", type=float, nargs=2, action="append", default=[], dest="points", metavar=("LON", "LAT")
    )


def _rtc(verb: argparse.ArgumentParser) -> None:
    """A verb about one scene."""
    verb.add_argument("safe", metavar="SAFE", type=Path, help="folder of a GRD product")
    verb.add_argument("--dem", metavar="FILE", type=Path, nargs="+", required=True, help="heights in metres")
    verb.add_argument("--to", metavar="FOLDER", type=Path, required=True, help="where the files and their item go")
    verb.add_argument("--resolution", type=float, default=20.0, metavar="METRES")
    verb.add_argument("--crs", metavar="EPSG:CODE", help="default: the UTM zone of the middle")
    verb.add_argument("--bbox", type=float, nargs=4, metavar=("WEST", "SOUTH", "EAST", "NORTH"))
    verb.add_argument(
        "--heights",
        choices=["egm2008", "ellipsoid"],
        default="egm2008",
        help="what they are above; Copernicus: egm2008",
    )


def _argo(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Verbs about floats: the copy of a GDAC, and the databases."""
    sync = _sets(add(verbs, "sync", "bring the local copy of a GDAC up to date, as far as a config asks for it"))
    sync.add_argument("--env-file", type=Path, metavar="FILE", default=Path(".env"), help="settings; default: .env")
    load = _sets(add(verbs, "load", "bring PostgreSQL and Redis up to what is committed"))
    load.add_argument("--rebuild-redis", action="store_true", help="only Redis, from PostgreSQL")
    load.add_argument("--anew", action="store_true", help="empty the tables first: of an output that was made anew")
    for verb in (sync, load):
        verb.add_argument("--json", action="store_true", help="statistics as JSON")
    serve = _sets(add(verbs, "serve", "answer questions about the loaded profiles over HTTP; read only"))
    serve.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, this machine only")
    serve.add_argument("--port", type=int, default=8000, help="default: 8000")
    serve.add_argument(
        "--origin",
        action="append",
        default=[],
        dest="origins",
        metavar="URL",
        help="web pages that may ask from a browser",
    )


def _sets(verb: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """A verb about a config, of which single keys may be replaced."""
    verb.add_argument("config", type=Path, metavar="CONFIG")
    verb.add_argument("--set", action="append", default=[], dest="sets", metavar="KEY=VALUE")
    verb.add_argument("--output", metavar="URI")
    return verb


def _cluster(verb: argparse.ArgumentParser) -> None:
    """A verb about the clusters of a config."""
    verb.epilog = (
        "exit codes: 0 done; 1 a cluster could not be ended; 2 bad config or usage; 3 a place cannot be looked at"
    )
    actions = verb.add_subparsers(required=True, metavar="ACTION", dest="action")
    found = add(
        actions, "list", "say which clusters are there, of whose runs, and when their drivers were last heard of"
    )
    found.add_argument("--json", action="store_true")
    rendered = add(actions, "render", "print the exact arguments or manifests of every region's cluster")
    ended = add(actions, "gc", "end your clusters whose drivers are dead")
    ended.add_argument("--run", metavar="ID", help="only this run's; also where nobody knows whether its driver lives")
    ended.add_argument(
        "--silent-for", type=duration_s, metavar="AGE", help="of its driver: 15min, 2h; default: the idle_timeout_s"
    )
    ended.add_argument("--everyone", action="store_true", help="also clusters of other users")
    ended.add_argument("--dry-run", action="store_true", help="print what would be ended")
    for action in (found, rendered, ended):
        action.add_argument("config", type=Path, metavar="CONFIG")
        action.add_argument("--set", action="append", default=[], dest="sets", metavar="KEY=VALUE")
        action.add_argument("--region", action="append", default=[], dest="regions", metavar="REGION")


def _year(text: str) -> int:
    if re.fullmatch(r"[1-9]\d{3}", text) is None:
        raise argparse.ArgumentTypeError(f"found {text!r}; allowed: a year such as 2021")
    return int(text)


def _config(verb: argparse.ArgumentParser, *further: tuple[str, str, str]) -> argparse.ArgumentParser:
    """A verb about a config: what a run would do with it."""
    verb.add_argument("config", type=Path, metavar="CONFIG")
    _positional(verb, further)
    verb.add_argument("--set", action="append", default=[], dest="sets", metavar="KEY=VALUE")
    verb.add_argument("--output", metavar="URI")
    verb.add_argument("--snapshot", type=Path, metavar="FILE")
    return verb


def _output(verb: argparse.ArgumentParser, *further: tuple[str, str, str]) -> argparse.ArgumentParser:
    """A verb about an output."""
    verb.add_argument("output", metavar="OUTPUT", help="folder, s3://bucket/prefix, or the config that writes there")
    _positional(verb, further)
    verb.add_argument("--endpoint", metavar="URL", help="S3 server; default: AWS, or what the config says")
    verb.add_argument("--profile", metavar="NAME", help="profile of the AWS configuration")
    verb.add_argument("--anonymous", action="store_true", help="send no credentials")
    return verb


def _positional(verb: argparse.ArgumentParser, further: Sequence[tuple[str, str, str]]) -> None:
    for name, shown, text in further:
        verb.add_argument(name, metavar=shown, help=text)


def _schema(*, events: bool) -> int:
    from pipeline.config import config_schema  # noqa: PLC0415 (heavy)
    from pipeline.config.load import events_schema  # noqa: PLC0415
    from pipeline.products import product_models  # noqa: PLC0415

    print(json.dumps(events_schema() if events else config_schema(product_models()), indent=2), flush=True)
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
