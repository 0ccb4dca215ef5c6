"""Lower a `Model` to a `Program` through TVM."""
