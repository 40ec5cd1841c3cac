import os

# The terminal that the command line is designed for; read once, when its console is made.
os.environ["COLUMNS"] = "100"
