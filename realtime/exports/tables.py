"""Scores and events as tables with types."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

PARQUET_METADATA_KEY = b"kilas"
"""Key of a Parquet file's metadata that holds the content of session.json."""


def parquet(table: pd.DataFrame, metadata: dict[str, Any]) -> bytes:
    """Format a table of a session as a Parquet file, from which pandas reads the same table.

    `metadata`: written as JSON in ASCII into the file's metadata, under `PARQUET_METADATA_KEY`.
    """
    import pyarrow as pa
    from pyarrow import parquet as pq

    typed = pa.Table.from_pandas(table, preserve_index=False)
    about = json.dumps(metadata).encode()
    sink = pa.BufferOutputStream()
    pq.write_table(
        typed.replace_schema_metadata({**typed.schema.metadata, PARQUET_METADATA_KEY: about}), sink
    )
    content: bytes = sink.getvalue().to_pybytes()
    return content


def json_lines(table: pd.DataFrame) -> bytes:
    """Format a table as one JSON object a row, in ASCII; empty cells become null.

    pandas writes ten decimals, the CSV files have six.
    """
    if table.empty:
        return b""  # pandas would write an empty line, which is not JSON
    return table.to_json(orient="records", lines=True).encode()
