"""A server of exported models that speaks TensorFlow Serving's protocol, over gRPC and REST."""
