"""Drawing of a simulated person."""
