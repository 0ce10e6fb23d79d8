"""The pipeline: the stages that every call to a backend passes through."""
