"""The Live tab: one monitor a visitor, over a WebSocket."""
