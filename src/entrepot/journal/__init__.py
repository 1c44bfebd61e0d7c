"""What was promised, and did it reach the disk?

Owns an append-only log that survives kill -9 and power loss: frames (pure), the disk port, reading, slots and sealing,
the writer. Does not own what a record means: a record is opaque bytes whose first byte is its kind; only 2 (ending),
8 (carry) and 9 (seal) are known here. Invariants: a record is durable before its callback runs; one frame is one
commit and never two are in flight; numbers in a stream have no gap; a slot has one owner, by lock.
Retry: sealing may run again after a crash at any point; a failed sync is never retried, the worker dies instead;
a full disk while preparing is tried again every second.
"""
