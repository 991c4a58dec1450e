"""Conversion of face sequences to the batches that Keras trains on."""
