"""Programs that made the files shipped with the project; they are not part of the library."""
