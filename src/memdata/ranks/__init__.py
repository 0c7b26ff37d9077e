"""What ranks say to each other: agreeing, waiting, moving data, reducing."""
