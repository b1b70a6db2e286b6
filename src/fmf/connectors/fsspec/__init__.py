"""Files behind any address that fsspec knows."""

from fmf.connectors.fsspec.connector import FsspecConnector as FsspecConnector
