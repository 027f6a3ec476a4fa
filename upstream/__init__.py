"""Other projects' own tests, run twice: without guardai and with it in front of everything, all permitted."""
