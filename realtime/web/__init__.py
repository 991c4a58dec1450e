"""The page in the browser: what serves it, and what stands behind it."""
