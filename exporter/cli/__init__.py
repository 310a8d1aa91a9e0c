"""The command line: its flags, its commands, and the process they run in."""
