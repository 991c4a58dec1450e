"""Scores and events as tables with types."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

PARQUET_METADATA_KEY = b"kilas"
"""Under this key a Parquet file's metadata hold the content of session.json."""


def parquet(table: pd.DataFrame, facts: dict[str, Any]) -> bytes:
    """A Parquet file of `table`, which is one of a session's, with `facts` as JSON in the file's
    metadata under `PARQUET_METADATA_KEY`, in ASCII. pandas gives the same table back."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    typed = pa.Table.from_pandas(table, preserve_index=False)
    about = json.dumps(facts).encode()
    sink = pa.BufferOutputStream()
    pq.write_table(
        typed.replace_schema_metadata({**typed.schema.metadata, PARQUET_METADATA_KEY: about}), sink
    )
    content: bytes = sink.getvalue().to_pybytes()
    return content


def json_lines(table: pd.DataFrame) -> bytes:
    """One JSON object a row, in ASCII; what is empty in the table is null. pandas writes ten
    decimals, the CSV files have six."""
    if table.empty:
        return b""  # pandas would write an empty line, which is not JSON
    return table.to_json(orient="records", lines=True).encode()
