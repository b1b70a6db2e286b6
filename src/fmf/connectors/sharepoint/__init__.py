"""Files of a SharePoint document library, through Microsoft Graph."""

from fmf.connectors.sharepoint.connector import SharePointConnector as SharePointConnector

__all__ = ["SharePointConnector"]
