"""File formats: one module each, behind the small interface of `memdata.formats.tree`.

``tree``
    the words they share: nodes, plans, sources and targets
``memory``
    trees in memory
``hdf5``, ``hdf5_read``, ``hdf5_write``, ``hdf5_types``, ``hdf5_filters``
    HDF5 through h5py
``attributes``, ``strings``, ``references``, ``selections``, ``names``
    what an attribute, a string, a reference, an index, a name means in memory and on disk
"""
