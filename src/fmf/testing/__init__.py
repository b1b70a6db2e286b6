"""Tools for tests of plugins: the exams that every connector and every loader sits."""

from typing import TYPE_CHECKING

from fmf_core.facade import facade

# For tools that read code; at run time each name comes from its home when it is first asked for.
if TYPE_CHECKING:
    from fmf.testing.connectors import ConnectorExam as ConnectorExam
    from fmf.testing.connectors import RemoteConnectorExam as RemoteConnectorExam
    from fmf.testing.loaders import LoaderExam as LoaderExam

facade(__name__, {"fmf.testing.connectors": "ConnectorExam RemoteConnectorExam", "fmf.testing.loaders": "LoaderExam"})
