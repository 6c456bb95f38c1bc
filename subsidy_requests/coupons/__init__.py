"""The pool of coupon codes: the part that grants them. It knows of requests only what the events say."""
