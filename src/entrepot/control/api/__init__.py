"""Which question does each address answer? One file per noun; each holds a `router`."""
