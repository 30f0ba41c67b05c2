"""What made the files that ship with the project; nothing here is part of the library."""
