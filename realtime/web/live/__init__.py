"""Live tab: one monitor for each visitor, over a WebSocket."""
