"""What a user does with adapted networks: features of a folder of one's own, and a search in it."""
