"""The tests of oxthreads: folders for its modules, and for what is asked of all of them."""
