"""Many sessions against one service, and real kills among them: what remains, and who is told."""
