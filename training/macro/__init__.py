"""Still pictures of faces to the seven basic expressions: data, networks, training, model files."""
