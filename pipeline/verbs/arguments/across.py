"""The command lines of the verbs that connect with programs and data of others."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from pipeline.verbs.arguments.common import Group, Verb, config_of, json_of, output_of, storage_of

_CORNERS = ("WEST", "SOUTH", "EAST", "NORTH")


def _adopt(parser: argparse.ArgumentParser) -> None:
    config_of(parser, snapshot=True)
    parser.add_argument("folder", metavar="FOLDER", help="where the files are: a folder or s3://bucket/prefix")
    parser.add_argument("--product", metavar="NAME", help="which of the config's products they are of")
    named = parser.add_mutually_exclusive_group()
    named.add_argument(
        "--layout",
        choices=["glacier-flow", "ttc", "argo"],
        help="how the older program names its files (argo: says why nothing can be)",
    )
    named.add_argument("--template", metavar="PATH", help="or how they are named, such as {tile}/{period}_{layer}.tif")
    parser.add_argument("--dry-run", action="store_true", help="print what would be adopted, write nothing")
    json_of(parser)
    storage_of(parser, "FOLDER")


def _request(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "request", metavar="REQUEST", type=Path, nargs="?", help="JSON of projects with missing_tiles, or GeoJSON"
    )
    parser.add_argument("--tiles", metavar="FILE", type=Path, help="Parquet table of tiles: X, Y, X_tile, Y_tile")
    parser.add_argument("-o", "--out", metavar="FILE", type=Path, help="the list as CSV; default: print it")
    parser.add_argument(
        "--year",
        type=_year,
        action="append",
        default=[],
        dest="years",
        metavar="YEAR",
        help="of an area; may be repeated",
    )
    parser.add_argument("--bbox", type=float, nargs=4, metavar=_CORNERS, help="an area in degrees")
    parser.add_argument(
        "--point",
        type=float,
        nargs=2,
        action="append",
        default=[],
        dest="points",
        metavar=("LON", "LAT"),
        help="a place in degrees; may be repeated",
    )


def _year(text: str) -> int:
    if re.fullmatch(r"[1-9]\d{3}", text) is None:
        raise argparse.ArgumentTypeError(f"found {text!r}; allowed: a year such as 2021")
    return int(text)


def _export(parser: argparse.ArgumentParser) -> None:
    output_of(parser)
    parser.add_argument("--to", type=Path, metavar="FOLDER", required=True, help="where the folders are made")
    parser.add_argument(
        "--layout",
        choices=["glacier-flow"],
        default="glacier-flow",
        help="clipped, metadata, template and download for each region and sensor; the default",
    )
    parser.add_argument(
        "--template",
        metavar="PATH",
        help="instead: a path for each layer, such as {year}/ard/{x}/{y}/{x}X{y}Y_{layer}.tif",
    )
    parser.add_argument("--product", metavar="NAME", help="needed where the output holds several products")


def _rtc(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("safe", metavar="SAFE", type=Path, help="folder of a GRD product")
    parser.add_argument("--dem", metavar="FILE", type=Path, nargs="+", required=True, help="heights in metres")
    parser.add_argument("--to", metavar="FOLDER", type=Path, required=True, help="where the files and their item go")
    parser.add_argument("--resolution", type=float, default=20.0, metavar="METRES", help="of a pixel; default: 20")
    parser.add_argument("--crs", metavar="EPSG:CODE", help="default: the UTM zone of the middle")
    parser.add_argument("--bbox", type=float, nargs=4, metavar=_CORNERS, help="a part, in degrees; default: all of it")
    parser.add_argument(
        "--heights",
        choices=["egm2008", "ellipsoid"],
        default="egm2008",
        help="what heights are above; Copernicus: egm2008, the default",
    )


ACROSS = Group(
    "bring across, in and out",
    (
        Verb(
            "adopt",
            "takes files that older programs made, as they are, as done",
            "Takes files that an older program made, with their checksums, as items marked adopted. Each satisfies its "
            "product, tile and period until a run with --overwrite makes it.",
            (
                "{prog} configs/demo.yaml ./older --template '{{tile}}/{{period}}_{{layer}}.tif' --dry-run",
                "{prog} configs/glaciers.yaml ./flow --layout glacier-flow",
            ),
            _adopt,
            {1: "a file was left out, and is named", 3: "a folder cannot be read", 5: "there is nothing to adopt"},
        ),
        Verb(
            "request",
            "turns an inbound request into a list of tree-cover tiles",
            "Turns a request for tree-cover tiles, an area, a box or points into the CSV that a run takes as `area: "
            "{tiles: …}`. What it leaves out is named.",
            (
                "{prog} --bbox 11.94 44.86 12.03 44.90 --year 2024",
                "{prog} request.json --tiles tiles.parquet -o tiles.csv",
            ),
            _request,
            {1: "something that was asked for is not in the list, and is named", 5: "nothing was asked for"},
        ),
        Verb(
            "export",
            "copies committed files into folders that other programs read",
            "Copies the current files of a product under the names and in the folders that older programs look for. "
            "What is there with the same bytes stays as it is.",
            (
                "{prog} demo-output --product sentinel2 --to ./exported --template '{{period}}/{{tile}}_{{layer}}.tif'",
                "{prog} out/glaciers --to ./flow",
            ),
            _export,
            {3: "the output cannot be read, or is none", 5: "there is nothing to copy"},
        ),
        Verb(
            "rtc",
            "makes terrain-corrected scenes of a Sentinel-1 GRD product",
            "Makes gamma0 with terrain correction of one GRD product and heights, with a STAC item that `sentinel1` "
            "takes as a source. It needs the extra `rtc`: pip install 'groundswell[rtc]'.",
            ("{prog} S1A_IW_GRDH_1SDV_20240616.SAFE --dem dem.tif --to ./rtc",),
            _rtc,
            {1: "the scene could not be made", 3: "the extra is not installed"},
        ),
    ),
)
