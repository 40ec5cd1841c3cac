"""The command line: arguments into one call of the library, and nothing else."""
