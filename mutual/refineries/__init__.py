"""What is learned from pseudo labels: one file a method."""
