"""Tests of the queues. Most of them run on the standard library too."""
