"""The thread that reads the settings, and needs the module that waits for it."""

import threading


def read_settings():
    import configuration  # noqa: PLC0415

    configuration.settings["colour"] = "red"


thread = threading.Thread(target=read_settings, name="settings reader")
