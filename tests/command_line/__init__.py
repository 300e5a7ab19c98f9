"""Tests of the `oxthreads` command as a whole: its help, its exit codes, its completion."""
