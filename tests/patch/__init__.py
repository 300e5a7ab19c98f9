"""Ways to run a program on oxthreads: the patch, the runner, the command and the environment."""
