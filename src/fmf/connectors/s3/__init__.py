"""Objects of an S3 bucket: listed in the order of their keys, streamed, and read whole or not at all."""

from fmf.connectors.s3.connector import S3Connector as S3Connector
