"""What is done to a corpus before anything is trained: bring it, look at every file, tell what is wrong with it."""
