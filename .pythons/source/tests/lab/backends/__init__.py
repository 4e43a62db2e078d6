"""The applications of the lab, right and wrong, each a program of its own: `python -m tests.lab.backends.voice_app`."""
