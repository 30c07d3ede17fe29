// Nothing here: the module only carries the compiler and linker flags of pkg-config's parquet.
