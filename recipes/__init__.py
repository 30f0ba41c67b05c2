"""How the files that ship with the project were made; no stage and no command imports this."""
