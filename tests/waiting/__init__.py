"""Tests of `oxthreads.waiting`."""
