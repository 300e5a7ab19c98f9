"""A module is imported that waits for a thread, and the thread imports the same module."""

import configuration

print(configuration.settings)
print("done")
