"""What a corpus lets a detector cheat with: cheap features that tell the classes apart, and what they are worth."""
