"""Where is the money?

Owns accounts (per currency and counterparty), transactions made of transfers, the chain of hashes over them, and each
account's running balance. Does not own holds and leases (limits) or documents (billing). Invariants: a transfer debits
one account and credits another of the same currency by one positive amount, so every transaction balances per currency;
transactions and transfers are never changed (database triggers); a running balance equals the sum of its transfers.
Retry: a transaction has an id; the same id with the same content changes nothing, with other content it is an error.
"""
