"""Images and sound that clients send: from a string in a request to decoded samples, bombs refused on the way."""
