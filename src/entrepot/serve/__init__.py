"""How do the processes of one machine start, live and stop?

Owns the settings, the two listening sockets, the parent that starts and watches the others, and the wiring that says
which module plays which role. Does not own what a role does. Invariants: one parent per DATA (its lock); ports are
bound once and outlive every child; a child that is silent for 5 s is killed, one that exits is replaced within 1 s; the
parent's death ends every child in a bounded time. Retry: starting again after any kill needs nothing but the start.
"""
