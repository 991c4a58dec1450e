"""From face sequences to what Keras trains on."""
