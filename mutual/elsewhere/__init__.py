"""Networks and weights of other code: their files, the backbone inside, names there and back."""
