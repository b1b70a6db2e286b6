"""The ground floor: errors, registries, retries, the sync/async portal, redaction, logs, telemetry and settings."""

__version__ = "0.1.0.dev0"
