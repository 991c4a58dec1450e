"""From scores over time to events, in seconds."""
