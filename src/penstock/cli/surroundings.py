"""What a manifest is read against: ``--config`` and ``--nodes``."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from penstock.manifest import Settings, load_settings
from penstock.nodes import Catalogue


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The operator's settings and the node types that there are."""

    settings: Settings
    catalogue: Catalogue


def add_manifest(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", metavar="MANIFEST", type=Path, help="a JSON or YAML file")


def add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", type=Path, help="penstock.toml to go by")


def add_surroundings(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument(
        "--nodes",
        metavar="FILE|MODULE",
        action="append",
        default=[],
        help="Python file or module with node types of your own; may be repeated",
    )


def surroundings(arguments: argparse.Namespace) -> Surroundings:
    """Raises ``ConfigurationError`` for a file or a module that can't be used.

    Modules are looked for in the working folder last.
    """
    if arguments.nodes and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    return Surroundings(
        load_settings(arguments.config), Catalogue.installed().extended(*arguments.nodes)
    )
