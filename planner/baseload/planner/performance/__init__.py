"""What a model needs of a GPU and how fast it runs there, from its size where nothing is measured."""
