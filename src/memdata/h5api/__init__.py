"""What h5py's groups, datasets, attributes and dimensions can do, for those in memory."""
