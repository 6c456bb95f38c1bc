"""The engine, in the order in which a message meets its files.

message -> run -> conditions -> resolver -> dispatch -> policy -> ledger -> delivery -> letters, and `sweep` for what
was left behind; `outcome`, `writes` and `runs` serve them.
"""
