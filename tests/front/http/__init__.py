"""Tests of the HTTP front's server edge, against a real listening server."""
