"""Put before everything else by `bench/profile_gateway.py`: profiles the gateway process, and no other."""

import atexit
import cProfile
import os
import sys

if "entrepot.serve.child" in sys.orig_argv and "gateway" in sys.orig_argv:
    _profile = cProfile.Profile()
    _profile.enable()

    def _dump() -> None:
        _profile.disable()
        _profile.dump_stats(os.path.join(os.environ["ENTREPOT_BENCH_PROFILE"], f"{os.getpid()}.prof"))

    atexit.register(_dump)
