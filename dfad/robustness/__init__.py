"""What becomes of a detector when its clips are laundered or attacked; nothing here trains one or knows Lightning."""
