"""Recording of a session folder: tables, videos, clips and metadata."""
