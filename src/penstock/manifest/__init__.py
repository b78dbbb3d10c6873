"""Manifests and settings: read, bounded, and valid in themselves.

Knows the kinds of executors, but no node types and no plans.
"""

from penstock.errors import ConfigurationError, ManifestError
from penstock.manifest.capacity import Capacity, most_files
from penstock.manifest.configuration import (
    ManifestConfiguration,
    configure,
    filled_in,
    resolve_configuration,
)
from penstock.manifest.faults import Closest, Location, faults_of, path_of
from penstock.manifest.front_door import MAX_BYTES, Source, read_params
from penstock.manifest.limits import READ_AHEAD_BYTES, Limits
from penstock.manifest.parsing import Draft, parse_manifest, read_draft
from penstock.manifest.schema import (
    Connection,
    DropPolicy,
    Manifest,
    ManifestMetadata,
    MultiprocessOptions,
    NodeSpec,
)
from penstock.manifest.service import (
    ConnectionSettings,
    PrewarmSettings,
    ServiceSettings,
    TlsSettings,
)
from penstock.manifest.settings import (
    ExecutorSettings,
    PatternSettings,
    Settings,
    load_settings,
)
from penstock.manifest.telemetry import TelemetrySettings, TraceSettings
from penstock.manifest.tokens import (
    TokenRights,
    Tokens,
    can_be_token,
    digest_of,
    load_tokens,
    new_token,
)

__all__ = [
    "MAX_BYTES",
    "READ_AHEAD_BYTES",
    "Capacity",
    "Closest",
    "ConfigurationError",
    "Connection",
    "ConnectionSettings",
    "Draft",
    "DropPolicy",
    "ExecutorSettings",
    "Limits",
    "Location",
    "Manifest",
    "ManifestConfiguration",
    "ManifestError",
    "ManifestMetadata",
    "MultiprocessOptions",
    "NodeSpec",
    "PatternSettings",
    "PrewarmSettings",
    "ServiceSettings",
    "Settings",
    "Source",
    "TelemetrySettings",
    "TlsSettings",
    "TokenRights",
    "Tokens",
    "TraceSettings",
    "can_be_token",
    "configure",
    "digest_of",
    "faults_of",
    "filled_in",
    "load_settings",
    "load_tokens",
    "most_files",
    "new_token",
    "parse_manifest",
    "path_of",
    "read_draft",
    "read_params",
    "resolve_configuration",
]
