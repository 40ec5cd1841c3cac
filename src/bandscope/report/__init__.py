"""What people look at: figures, the files an audit leaves on disk, the summary in the terminal."""
